"""Texts that tokenizers turn into beginnings and ends of turns, in the families of models that route.

Which of them the served tokenizer has is found out by asking it; where it cannot be asked, all of them are kept out of
conversations (`routing.prompt` says how).
"""

from __future__ import annotations

# ruff: noqa: RUF001  (DeepSeek's tokens hold a fullwidth vertical line)

_BY_FAMILY = {
    "ChatML": "<|im_start|> <|im_end|> <|endoftext|>",
    "Qwen": "<tool_call> </tool_call> <tool_response> </tool_response> <think> </think> <|fim_prefix|> <|fim_middle|> "
    "<|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> <|vision_start|> <|vision_end|> <|vision_pad|> "
    "<|image_pad|> <|video_pad|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|> "
    "<|quad_end|>",
    "Llama": "<s> </s> <unk> <|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> "
    "<|eom_id|> <|python_tag|>",
    "Mistral": "[INST] [/INST] [TOOL_CALLS] [AVAILABLE_TOOLS] [SYSTEM_PROMPT] [/SYSTEM_PROMPT]",
    "Gemma": "<bos> <eos> <pad> <start_of_turn> <end_of_turn>",
    "Phi": "<|user|> <|assistant|> <|system|> <|end|>",
    "gpt-oss": "<|start|> <|message|> <|channel|> <|constrain|> <|return|> <|call|>",
    "DeepSeek": "<｜User｜> <｜Assistant｜> <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜>",
}

SPECIAL_TOKENS = frozenset(token for family in _BY_FAMILY.values() for token in family.split())
