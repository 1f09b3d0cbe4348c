"""Short words of Chinese, Japanese and Korean texts are found."""

from __future__ import annotations

import doctest

import pytest

from schema import search_text as module
from schema.search_text import indexed_text, is_wide, search_text


def test_the_examples_are_true() -> None:
    results = doctest.testmod(module)
    assert results.attempted >= 2
    assert not results.failed


@pytest.mark.parametrize(
    "word", ["本", "本番", "番用", "用a", "aサ", "ｻ", "서버", "🔥", "映", "像"]
)
def test_a_short_word_is_in_the_text_that_the_index_reads(word: str) -> None:
    text = search_text("本番用Aサーバー 映像", "ami-1", "ｻｰﾊﾞ 서버 🔥")
    assert len(indexed_text(word)) >= 3
    assert indexed_text(word) in text


@pytest.mark.parametrize("word", ["映番", "像a", "ー映", "北"])
def test_other_short_words_are_not(word: str) -> None:
    assert indexed_text(word) not in search_text("本番用Aサーバー 映像", "ami-1", "")


def test_a_text_without_short_words_stays_as_it_is() -> None:
    assert search_text("Ünï", "ami-1", "") == "ünï\nami-1\n"
    assert indexed_text("web") == "web"
    assert not any(map(is_wide, "aé-1 Я"))
