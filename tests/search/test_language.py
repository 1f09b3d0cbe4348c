"""The language of the search box: the meaning of each term, problems, and queries as text.

`test_language_properties` tests that any text can be parsed, and that no part of the text is lost.
"""

from __future__ import annotations

import pytest

from webapp.clouds import CLOUDS
from webapp.images import operating_systems
from webapp.search.keys import KEYS, Key
from webapp.search.language import MAX_TERMS, MAX_TEXT_LENGTH, NotUnderstood
from webapp.search.parser import includes_below, parse
from webapp.search.query import OWNED_OR_INHERITED, Term


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("golden", Term(Key.WORD, "golden")),
        ('"golden image"', Term(Key.WORD, "golden image")),
        ("-golden", Term(Key.WORD, "golden", excluded=True)),
        ("cloud:aws", Term(Key.CLOUD, "aws")),
        ("CLOUD:AWS", Term(Key.CLOUD, "aws")),
        (f'cloud:"{CLOUDS["gce"].label}"', Term(Key.CLOUD, "gce")),
        ("location:us-east-1", Term(Key.LOCATION, "us-east-1")),
        ("os:ubuntu", Term(Key.OS, "ubuntu")),
        ('os:"ubuntu 24.04"', Term(Key.OS, "ubuntu 24.04")),
        ('os:"Ubuntu 24.04"', Term(Key.OS, "ubuntu 24.04")),
        ('os:"Rocky Linux 9"', Term(Key.OS, "rocky 9")),
        ("os:noble", Term(Key.OS, "ubuntu 24.04")),
        ('os:"Haiku R1"', Term(Key.OS, "Haiku R1")),
        ("scope:Account", Term(Key.SCOPE, "account")),
        ("owner:here", Term(Key.OWNER, "here")),
        ("owner:inherited", Term(Key.OWNER, "above")),
        ("shared:no", Term(Key.SHARED, "no")),
        ("agent:n", Term(Key.AGENT, "no")),
        ("verified:true", Term(Key.VERIFIED, "yes")),
        ("arch:amd64", Term(Key.ARCH, "x86_64")),
        ("status:deprecated", Term(Key.STATUS, "deprecated")),
        ("status:not-checked", Term(Key.STATUS, "not-checked")),
        ('status:"Not checked"', Term(Key.STATUS, "not-checked")),
        ("status:unknown", Term(Key.STATUS, "not-checked")),
        ("status:unverified", Term(Key.STATUS, "not-checked")),
        ("-status:gone", Term(Key.STATUS, "gone", excluded=True)),
        ("size:>30", Term(Key.SIZE, "30", operator=">")),
        ("size:<=030", Term(Key.SIZE, "30", operator="<=")),
        ("size:30gb", Term(Key.SIZE, "30")),
        ("created:<2026-01-01", Term(Key.CREATED, "2026-01-01", operator="<")),
        ("by:me", Term(Key.BY, "me")),
        ('by:"Sasha Scalr"', Term(Key.BY, "Sasha Scalr")),
        ("tag:team=web", Term(Key.TAG, "team=web")),
        ("TAG:Team=Web", Term(Key.TAG, "team=web")),
        ('tag:"team = two words"', Term(Key.TAG, "team=two words")),
        ('tag:team="two words"', Term(Key.TAG, "team=two words")),
        ("tag:team=", Term(Key.TAG, "team")),
        ("tag:team=a=b", Term(Key.TAG, "team=a=b")),
        ("tag:k8s:zone", Term(Key.TAG, "k8s:zone")),
        ("-tag:cis", Term(Key.TAG, "cis", excluded=True)),
        ("id:ami-0abc", Term(Key.ID, "ami-0abc")),
        ("id:ubuntu:server:latest", Term(Key.ID, "ubuntu:server:latest")),
        ('"id:ubuntu:server:latest"', Term(Key.WORD, "id:ubuntu:server:latest")),
        ("https://images.example.org/a", Term(Key.WORD, "https://images.example.org/a")),
        ('"cloud:aws"', Term(Key.WORD, "cloud:aws")),
        ("2026-01:x", Term(Key.WORD, "2026-01:x")),
        ("Canonical:ubuntu-24_04-lts:server:latest", None),
        (r'"quo\"te"', Term(Key.WORD, 'quo"te')),
        ("映像", Term(Key.WORD, "映像")),
        ("本", Term(Key.WORD, "本")),
        ("-本a", Term(Key.WORD, "本a", excluded=True)),
        ('"still typing', Term(Key.WORD, "still typing")),
        ('os:"ubuntu 2', Term(Key.OS, "ubuntu 2")),
    ],
)
def test_a_text_becomes_a_term(text: str, term: Term | None) -> None:
    query = parse(text)
    assert not query.problems
    assert query.terms == (term or Term(Key.WORD, text),)


@pytest.mark.parametrize(
    ("text", "message_parts"),
    [
        ("clod:aws", ["“clod:” isn’t a search token", "Did you mean “cloud:”?", '"clod:aws"']),
        ("cloud:oracle", ["“oracle” isn’t a valid value", "Use one of", "aws"]),
        ("cloud:", ["needs a value"]),
        ("shared:maybe", ["Use one of: yes, no"]),
        ("scope:team", ["scalr, account, environment"]),
        ("status:fine", ["active, deprecated, retired"]),
        ("size:big", ["“big” isn’t a valid size", "whole GB"]),
        ("size:>0", ["whole GB"]),
        ("created:yesterday", ["isn’t a valid date", "for example created:<2026-01-01"]),
        ("created:2026-02-30", ["isn’t a valid date"]),
        ("created:20260101", ["isn’t a valid date"]),
        ("created:2026-W01-1", ["isn’t a valid date"]),
        ("ab", ["“ab” is too short", "at least 3"]),
        ("id:ab", ["too short"]),
        ("éa", ["too short"]),
        ("-", ["too short"]),
    ],
)
def test_problems_explain_what_to_do(text: str, message_parts: list[str]) -> None:
    query = parse(f"golden {text}")
    assert query.terms == (Term(Key.WORD, "golden"),)
    (problem,) = query.problems
    assert problem.text == text
    for part in message_parts:
        assert part in problem.message


def test_a_search_has_a_limited_number_of_terms() -> None:
    query = parse(" ".join(f"word{number}" for number in range(MAX_TERMS + 1)))
    assert len(query.terms) == MAX_TERMS
    assert len(query.problems) == 1


@pytest.mark.parametrize(("words", "included"), [(MAX_TERMS - 1, True), (MAX_TERMS, False)])
def test_a_term_after_the_limit_does_not_include_the_scopes_below(
    words: int, included: bool
) -> None:
    text = " ".join([*(f"word{number}" for number in range(words)), "word0", "in:below"])
    assert includes_below(text) is included
    assert parse(text).includes_below is included


@pytest.mark.parametrize("blank", [" ", "   ", "\u3000"])
def test_text_after_the_limit_is_reported_and_not_cut_in_a_word(blank: str) -> None:
    words = [f"word{number:03}" for number in range(10)]
    fitting = blank.join([*words, "x" * (MAX_TEXT_LENGTH - 80)])
    assert parse(fitting).problems == ()
    query = parse(f"{fitting}{blank}os:ubuntu cloud:aws")
    assert query.terms == parse(fitting).terms
    (problem,) = query.problems
    assert problem.text == "os:ubuntu cloud:aws"
    assert "at most 500 characters. The text from “os:ubuntu cloud:aws” on" in problem.message
    assert parse(query.text) == query
    assert parse("x" * (MAX_TEXT_LENGTH + 1)).terms == ()


def test_an_action_needs_a_search_that_is_understood() -> None:
    parse("golden").require_understood()
    with pytest.raises(NotUnderstood, match="can’t be used: “status:retird”, “ab”"):
        parse("golden status:retird ab").require_understood()


def test_every_key_can_be_searched_by() -> None:
    values = {Key.SIZE: "8", Key.CREATED: "2026-01-01", Key.CLOUD: "aws", Key.STATUS: "active"}
    values |= {Key.SCOPE: "scalr", Key.OWNER: "here", Key.IN: "below"}
    for key in KEYS:
        value = values.get(key, "yes")
        assert parse(f"{key}:{value}").terms == (Term(key, value),)


def test_terms_have_labels_for_people() -> None:
    query = parse("golden cloud:aws -os:noble size:>30 created:<2026-01-01 agent:no owner:here")
    assert [term.label for term in query.terms] == [
        "“golden”",
        f"Cloud: {CLOUDS['aws'].label}",
        "Not OS: Ubuntu 24.04 LTS Noble Numbat",
        "Size > 30 GB",
        "Registered before 2026-01-01 (UTC)",
        "Without agent",
        "Owned here",
    ]


def test_an_excluded_yes_reads_as_no() -> None:
    labels = [term.label for term in parse("-agent:no -shared:yes -verified:no").terms]
    assert labels == ["With agent", "Not shared", "Checked"]


def test_every_operating_system_is_found_by_its_label() -> None:
    for family in operating_systems.FAMILIES.values():
        assert parse(f'os:"{family.label}"').terms == (Term(Key.OS, family.key),)
        for version in family.versions:
            term = Term(Key.OS, f"{family.key} {version.key}")
            label = operating_systems.label(family.key, version.key)
            for text in (label, term.value):
                assert parse(f'os:"{text}"').terms == (term,)


def test_backslashes_are_preserved() -> None:
    text = "\\" * 300
    assert str(parse(text)) == text


def test_a_line_break_does_not_end_a_quote() -> None:
    assert parse('"a\\\nb c"').terms == (Term(Key.WORD, "a\nb c"),)


def test_problems_stay_in_the_text_when_terms_change() -> None:
    query = parse("clud:aws golden os:ubuntu")
    shorter = query.without_term(query.terms[0])
    assert shorter.text == "os:ubuntu clud:aws"
    assert shorter.problems == query.problems == parse(shorter.text).problems
    assert query.with_term(Term(Key.CLOUD, "aws")).text == "golden os:ubuntu cloud:aws clud:aws"


def test_removing_and_adding_terms() -> None:
    query = parse("golden  cloud:aws")
    aws, other = query.terms[1], Term(Key.OS, "ubuntu 24.04")
    assert query.text == "golden cloud:aws"
    assert str(query.without_term(aws)) == "golden"
    assert str(query.with_term(other)) == 'golden cloud:aws os:"ubuntu 24.04"'
    assert query.with_term(aws).terms == query.terms
    assert str(query.with_term(Term(Key.CLOUD, "aws", excluded=True))) == "golden -cloud:aws"
    assert query.with_term_toggled(aws).with_term_toggled(aws).terms == query.terms
    assert parse("") == OWNED_OR_INHERITED
    assert not OWNED_OR_INHERITED


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('ami = "ami-0123456789abcdef0"', "ami-0123456789abcdef0"),
        ('"ImageId": "AMI-0123456789abcdef0",', "ami-0123456789abcdef0"),
        ("50 1e 5a 2b 8c 9d 0e 1f-2a 3b 4c 5d 6e 7f 80 91", "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091"),
        ("| id | 6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b |", "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"),
    ],
)
def test_an_image_id_with_blanks_and_a_label_is_one_word(text: str, word: str) -> None:
    query = parse(text)
    assert query.terms == (Term(Key.WORD, word),)
    assert not query.problems


@pytest.mark.parametrize(
    "text",
    [
        "ami-0123456789abcdef0 cloud:gce",
        "ami-0123456789abcdef0 (noble)",
        "web ami-0123456789abcdef0",
        "-id ami-0123456789abcdef0",
        "ami-0123456789abcdef0 ami-12345678",
    ],
)
def test_other_words_beside_an_image_id_stay_conditions(text: str) -> None:
    query = parse(text)
    assert len(query.terms) + len(query.problems) == 2


def test_a_word_that_spells_an_image_id_also_finds_the_id() -> None:
    urn = "Canonical:ubuntu-24_04-lts:server:24.04.202610150"
    (term,) = parse(urn).terms
    assert term.texts == (urn.lower(), urn.lower().replace(":", "/"))
    (term,) = parse('"built from ami-0123456789abcdef0"').terms
    assert term.texts == ("built from ami-0123456789abcdef0",)


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("status=active", "status:active"),
        ("-status=active", "-status:active"),
        ("--status:active", "-status:active"),
        ("-(status:active)", "-status:active"),
        ('-"status":active', "-status:active"),
        ("-status：active", "-status:active"),
    ],
)
def test_a_word_that_begins_like_a_term_is_a_problem(text: str, correct: str) -> None:
    query = parse(text)
    assert not query.terms
    assert f"Did you mean “{correct}”?" in query.problems[0].message


@pytest.mark.parametrize("text", ['"status:active"', '-"status=active"', "foo=bar", "size-10"])
def test_a_quoted_text_or_another_word_is_searched_as_it_is(text: str) -> None:
    query = parse(text)
    assert not query.problems
    assert len(query.words) == 1


@pytest.mark.parametrize("character", ["\x01", "\x7f", "\u202e", "\ud800"])
def test_a_control_character_is_shown_and_never_ignored(character: str) -> None:
    alone = parse(character)
    assert (alone.terms, alone.text) == ((), "\ufffd")
    assert alone.problems
    assert parse(f"web{character}").terms == (Term(Key.WORD, "web\ufffd"),)


def test_a_control_character_that_separates_words_is_a_space() -> None:
    assert parse("web\tserver\x1fbig").text == "web server big"
