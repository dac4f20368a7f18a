"""Records, datasets and the checks that keep a training from failing."""

from __future__ import annotations

from tunekit.data.checks import check_leakage
from tunekit.data.dataset import Dataset
from tunekit.data.records import (
    ChatRecord,
    DataKind,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Message,
    PreferenceInput,
    PreferenceRecord,
    PromptCompletionRecord,
    Record,
    ReinforcementRecord,
    TextPart,
    TextRecord,
    Tool,
    ToolCall,
    parse_record,
)
from tunekit.data.summary import DataSummary, SplitSummary, summarize

__all__ = [
    "ChatRecord",
    "DataKind",
    "DataSummary",
    "Dataset",
    "FunctionCall",
    "FunctionDefinition",
    "ImagePart",
    "ImageUrl",
    "Message",
    "PreferenceInput",
    "PreferenceRecord",
    "PromptCompletionRecord",
    "Record",
    "ReinforcementRecord",
    "SplitSummary",
    "TextPart",
    "TextRecord",
    "Tool",
    "ToolCall",
    "check_leakage",
    "parse_record",
    "summarize",
]
