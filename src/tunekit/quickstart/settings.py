"""The settings that the quickstart trains its small base with.

Chosen by trying: exact match of the tuned model on the 250 held-out rows of `quickstart_split`,
LoRA through TRL in float32 on two CPU cores shared with other work, one epoch, one run each.
With 250 rows, differences below about 4 points mean little. The rank was 32 but for the run marked
`r16`.

| rows | batch | learning rate | order of rows | exact match |
|---|---|---|---|---|
| 4800 | 16 | 6e-3 | by length | 81.2 % |
| 4800 | 8 | 5e-3 | by length | 85.2 % |
| 3600 | 8 | 4e-3 | by length | 88.0 % |
| 4800 | 8 | 2e-3 | by length | 92.0 % |
| 4800 | 8 | 3e-3, r16 | random | 92.0 % |
| 4000 | 8 | 2e-3 | random | 91.6 % |

Since the choice looked at those rows, the last line was run again on 500 rows that no run had seen
(`quickstart_split(seed=101)`): 91.0 %, the base 0.0 %. With 4,800 rows `tunekit quickstart --json`
printed 95.2 % on the 250 rows, the base 0.0 %, 128 s from the start of the training on two idle
cores.
"""

from __future__ import annotations

from typing import Final

#: Rows to train on, to watch and to score on.
TRAIN_ROWS: Final = 4800
VALIDATION_ROWS: Final = 100
TEST_ROWS: Final = 250

#: The grammar has rows enough; on an earlier base, half the rows seen twice did no better
#: (80.4 % after 2 x 2,400 at 3e-3, 78.4 % after 4,800 at 4e-3).
N_EPOCHS: Final = 1

#: 16 rows a step, tried at 6e-3 only, took 111 s instead of 119 s for 4,800 rows and scored less.
BATCH_SIZE: Final = 8

#: High for a LoRA, as it has to be for a model this small; runs at 4e-3 and above came out worse.
#: A cosine to zero, after a warm-up over the first 5 % of the steps.
LEARNING_RATE: Final = 2e-3
LR_SCHEDULER: Final = "cosine"
WARMUP_SHARE: Final = 0.05

#: 466,944 weights. 16 did as well in one run with 4,800 rows and 3e-3; the scale `alpha / r` is 2.
LORA_R: Final = 32
LORA_ALPHA: Final = 64

#: Tokens. The longest of the 4,350 rows of `quickstart_split` has 186, the mean is 112.
MAX_LENGTH: Final = 256

#: Tokens. The longest answer of these rows has 33 and its end mark, the mean is 14.
MAX_NEW_TOKENS: Final = 96

#: Updates between two points of the loss curve.
LOGGING_STEPS: Final = 10

#: Of the rows and of the run.
SEED: Final = 7
