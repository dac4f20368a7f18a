import hashlib
import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunekit.data.likeness.candidates import most_distance
from tunekit.data.likeness.shingles import WIDTH, shingles
from tunekit.data.likeness.signatures import BANDS, BINS, SIGNATURE_BYTES, signatures
from tunekit.data.likeness.similarity import similarities

LONG = "Cream the butter with the sugar, then fold in the flour and the beaten eggs. " * 4
CHINESE = "把黄油和糖搅打至松软，然后拌入面粉和打散的鸡蛋，放进预热好的烤箱里烤三十分钟即可。"  # noqa: RUF001
THAI = "ผสมเนยกับน้ำตาลให้เข้ากันแล้วใส่แป้งและไข่ที่ตีแล้วลงไปจากนั้นนำเข้าเตาอบประมาณสามสิบนาที"
KOREAN = "버터와 설탕을 섞은 다음 밀가루와 달걀을 넣고 예열한 오븐에서 삼십 분 동안 굽습니다."

texts = st.text(
    st.characters(exclude_characters="\0") | st.sampled_from("ab .é中ก\ud800"), max_size=60
)


def _one(text: str) -> bytes:
    return signatures([text])


def _shares_a_key(one: str, other: str) -> bool:
    left, right = _one(one), _one(other)
    return any(left[4 * n : 4 * n + 4] == right[4 * n : 4 * n + 4] for n in range(BANDS))


def test_a_signature_has_a_fixed_width() -> None:
    assert len(signatures(["", "a", LONG])) == 3 * SIGNATURE_BYTES
    assert signatures([]) == b""


@given(st.lists(texts, max_size=8))
def test_a_signature_does_not_depend_on_the_texts_around_it(several: list[str]) -> None:
    assert signatures(several) == b"".join(map(_one, several))


def test_many_and_long_texts_are_signed_like_single_ones() -> None:
    several = [f"{LONG}{number}" * (1 + 40 * (number % 97 == 0)) for number in range(600)]
    assert signatures(several) == b"".join(map(_one, several))


@pytest.mark.parametrize("seed", ["0", "1"])
def test_signatures_are_the_same_in_every_process(seed: str) -> None:
    code = (
        "import sys; from tunekit.data.likeness.signatures import signatures; "
        "print(signatures(sys.argv[1:]).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, LONG, CHINESE, THAI, "short"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
    )
    assert bytes.fromhex(done.stdout) == signatures([LONG, CHINESE, THAI, "short"])


def test_signatures_are_the_same_on_every_machine() -> None:
    found = hashlib.sha256(signatures([LONG, CHINESE, THAI, KOREAN, "short", ""])).hexdigest()
    assert found == "ccd9c7077a221d22e6cf4befa19d958306f87904608bf18158fe063e93d35833"


@pytest.mark.parametrize("text", ["", " ", "yes", "a b!", "?!... --- ...", "\u200b" * 50, "\0" * 9])
def test_a_text_of_less_than_five_letters_has_no_signature(text: str) -> None:
    assert _one(text) == bytes(SIGNATURE_BYTES)


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG.replace(" ", "\n\n  "),
        LONG.replace(",", " -").replace(".", "!"),
        LONG.replace("butter", "bu\u0308tter"),
        LONG.replace("sugar", "s\0ugar"),
        "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in LONG),  # full-width
    ],
)
def test_case_space_punctuation_and_accents_do_not_count(other: str) -> None:
    assert _one(other) == _one(LONG)


@pytest.mark.parametrize("text", [CHINESE * 3, THAI * 2, KOREAN * 2])
def test_languages_without_spaces_are_compared_by_their_characters(text: str) -> None:
    middle = len(text) // 2
    changed = text[:middle] + text[middle + 1 :]
    assert _shares_a_key(text, changed)
    assert _one(text) != _one(changed)
    assert not _shares_a_key(text, "".join(sorted(text)))


def test_a_thai_vowel_counts_and_a_combining_accent_does_not() -> None:
    assert _one(THAI.replace("ี", "ิ")) != _one(THAI)
    assert _one(unicodedata.normalize("NFD", "crème brûlée à la façon")) == _one(
        "crème brûlée à la façon"
    )


def test_characters_outside_the_basic_plane_count() -> None:
    assert _one("\U00020000\U00020001\U00020002" * 9) != _one("\U00020000\U00020001" * 9)
    assert _one("😀😃😄😁😆😅") not in {bytes(SIGNATURE_BYTES), _one("😀😃😄😁😆😂")}


def test_short_texts_share_a_key_only_when_nothing_but_their_form_differs() -> None:
    assert _shares_a_key("Hello there!", "hello, there")
    assert not _shares_a_key("Hello there!", "Hello where!")


@given(st.lists(texts, min_size=2, max_size=5))
def test_similarity_is_the_jaccard_similarity_of_the_shingle_sets(several: list[str]) -> None:
    sets = [set(shingles([text])[0].tolist()) for text in several]
    pairs = [(one, other) for one in range(len(several)) for other in range(len(several))]
    expected = [
        len(sets[one] & sets[other]) / max(1, len(sets[one] | sets[other])) for one, other in pairs
    ]
    assert similarities(several, pairs) == expected


@given(st.text("abcdefgh", max_size=30))
def test_each_run_of_five_letters_is_a_shingle(text: str) -> None:
    hashes, counts, _ = shingles(["x" * 7, text, "y" * 7])
    runs = [text[start : start + WIDTH] for start in range(len(text) - WIDTH + 1)]
    assert counts.tolist() == [3, len(runs), 3]
    assert len(set(hashes[3:-3].tolist())) == len(set(runs))


def test_texts_with_other_numbers_share_no_key() -> None:
    assert not _shares_a_key(f"{LONG} It takes 30 minutes.", f"{LONG} It takes 40 minutes.")
    assert not _shares_a_key(f"{LONG} It takes 31 minutes.", f"{LONG} It takes 13 minutes.")
    assert _shares_a_key(f"{LONG} It takes 30 minutes.", f"{LONG} It took 30 minutes.")


@given(st.lists(st.text("12, ", max_size=8), max_size=6))
def test_numbers_are_the_same_in_any_order_and_apart_otherwise(several: list[str]) -> None:
    numbers = [sorted(text.replace(",", " ").split()) for text in several]
    found = shingles(several).numbers.tolist()
    for one, given_one in zip(found, numbers, strict=True):
        for other, given_other in zip(found, numbers, strict=True):
            assert (one == other) == (given_one == given_other)


def test_no_shingle_reaches_into_the_next_text() -> None:
    hashes, counts, _ = shingles(["abcd", "efgh", "", "i"])
    assert len(hashes) == 0
    assert counts.tolist() == [0, 0, 0, 0]


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_sketches_tell_how_alike_texts_are(seed: int) -> None:
    words = [hashlib.md5(f"{seed} {n}".encode()).hexdigest()[:6] for n in range(120)]  # noqa: S324
    one, other = " ".join(words[:100]), " ".join(words[5:105])
    (similarity,) = similarities([one, other], [(0, 1)])
    left, right = (int.from_bytes(_one(text)[4 * BANDS :]) for text in (one, other))
    assert abs(1 - 2 * (left ^ right).bit_count() / BINS - similarity) < 0.25


def test_equal_texts_alone_pass_at_a_similarity_of_one() -> None:
    assert most_distance(1.0) == 0
    assert most_distance(0.9) < most_distance(0.8) < BINS // 4
