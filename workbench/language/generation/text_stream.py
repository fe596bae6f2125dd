"""Text from tokens as they come."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from workbench.language.tokens import Tokenizer

UNFINISHED = "\N{REPLACEMENT CHARACTER}".encode()


class TextStream:
    """The text of each token, where it completes one: a character is never cut in half.

    A vocabulary of bytes may need several tokens for a character. One that is decoded as text
    shows an unfinished character by its sign, and treats the first token of a text unlike the
    others, so that each token is decoded after the one before it.

    Args:
        tokenizer: of the tokens.
        after: tokens of the text before the first.
    """

    def __init__(self, tokenizer: Tokenizer, after: Iterable[int] = ()):
        self._tokenizer = tokenizer
        self._given, self._waiting = list(after)[-1:], list[int]()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that is certain after one more token; often of that token, or empty."""
        self._waiting.append(token)
        return "" if self._fresh().endswith(UNFINISHED) else self._taken()

    def close(self) -> str:
        """What is left: signs for a character that was never finished."""
        return self._taken() + self._decoder.decode(b"", final=True)

    def _taken(self) -> str:
        text = self._decoder.decode(self._fresh())
        self._given, self._waiting = self._waiting[-1:] or self._given, []
        return text

    def _fresh(self) -> bytes:
        """Bytes of the tokens that wait."""
        whole = self._tokenizer.bytes_of([*self._given, *self._waiting])
        return whole[len(self._tokenizer.bytes_of(self._given)) :]
