"""Reading files: the three formats, as people's programs really write them, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webapp.transfer import import_files
from webapp.transfer.export import COLUMNS, protected, unprotected
from webapp.transfer.import_files import Content, Line, UnreadableFile

AMI = "ami-0123456789abcdef0"
HEADER = "cloud,location,cloud_image_id,name"
ROW = f"aws,us-east-1,{AMI},noble"
VALUES = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": AMI, "name": "noble"}


def read(text: str) -> Content:
    return import_files.read(text.encode())


def refusal(data: bytes | str) -> str:
    """What a file is refused with: a sentence for people."""
    with pytest.raises(UnreadableFile) as caught:
        import_files.read(data.encode() if isinstance(data, str) else data)
    message = str(caught.value)
    assert message[0].isupper()
    assert message.endswith(".")
    return message


def builds(*each: object) -> str:
    return json.dumps({"builds": each, "last_run_uuid": "r"})


def build(artifact: str = f"us-east-1:{AMI}", **more: object) -> dict[str, object]:
    return {
        "name": "web",
        "builder_type": "amazon-ebs",
        "build_time": 1507245986,
        "files": None,
        "artifact_id": artifact,
        "packer_run_uuid": "r",
        "custom_data": None,
        **more,
    }


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n",
        f"{HEADER}\r\n{ROW}\r\n",
        f"\ufeff{HEADER}\n{ROW}",
        f"\n\n{HEADER}\n\n{ROW}\n,,,\n",
        f"{HEADER};".replace(",", ";") + f"\n{ROW};\n".replace(",", ";"),
        f"{HEADER}\n{ROW}\n".replace(",", "\t"),
        f'"Cloud","Location","Cloud Image ID","Name"\n"aws","us-east-1","{AMI}","noble"\n',
        f"cloud_image_id,name,location,cloud,,\n {AMI} ,noble,us-east-1,aws,,\n",
        json.dumps([VALUES]),
        json.dumps([{**VALUES, "description": None, "status_reason": ""}], indent=2),
        json.dumps(
            [{"Cloud-Image-ID": AMI, "Cloud": "aws", "location": "us-east-1", "name": "noble"}]
        ),
    ],
)
def test_the_same_image_however_it_is_written(text: str) -> None:
    (line,) = read(text).lines
    assert (line.values, line.error) == (VALUES, "")


def test_where_a_line_is() -> None:
    text = f'{HEADER},description\n{ROW},"over\ntwo lines"\n\n{ROW},short\n'
    content = read(text)
    assert content.format == "CSV"
    assert [line.place for line in content.lines] == ["line 2", "line 5"]
    assert content.lines[0].values["description"] == "over\ntwo lines"
    assert read(json.dumps([VALUES, VALUES])).lines[1].place == "item 2"


def test_columns_that_are_not_taken_are_named_once() -> None:
    content = read(f"{HEADER},ID,state,Team,Cost centre\n{ROW},7,gone,web,12\n{ROW},8,gone,,\n")
    assert content.left_alone == ("id", "state")
    assert content.unknown == ("Team", "Cost centre")
    assert read(json.dumps([VALUES, {**VALUES, "team": "web"}])).unknown == ("team",)


def test_every_column_of_an_export_is_known() -> None:
    content = read(",".join(COLUMNS) + "\n" + ",".join("x" for _ in COLUMNS))
    assert content.unknown == ()


def test_a_bad_line_does_not_take_the_others_along() -> None:
    content = read(f"{HEADER}\n{ROW},one,too many\n{ROW}\naws\n")
    assert [bool(line.error) for line in content.lines] == [True, False, False]
    assert "6 cells" in content.lines[0].error
    assert content.lines[2].values == {"cloud": "aws"}
    content = read(json.dumps([VALUES, 7, {**VALUES, "name": ["a"]}, {**VALUES, "name": "a\x00"}]))
    assert [line.error[:20] for line in content.lines[1:3]] == [
        "It is no object with",
        "name must be one tex",
    ]
    assert "no part of any text" in content.lines[3].error
    assert not content.lines[0].error


def test_json_says_numbers_and_truths_in_its_own_way() -> None:
    (line,) = read(
        json.dumps([{**VALUES, "size_gb": 8, "shared": False, "agent_installed": True}])
    ).lines
    assert (line.values["size_gb"], line.values["shared"]) == ("8", "no")
    assert line.values["agent_installed"] == "yes"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "nothing in it"),
        (" \n\t", "nothing in it"),
        ("\ufeff", "nothing in it"),
        (HEADER, "no images in it"),
        ("[]", "no images in it"),
        (builds(), "no images in it"),
        ("name,location\nnoble,us-east-1\n", "none named cloud."),
        ("cloud,name\naws,noble\n", "none named cloud_image_id."),
        (f"{HEADER},Name\n{ROW},noble\n", "Two columns are named “name”"),
        (f'{HEADER}\n{ROW}\n"aws,us-east-1\n', "begins in line 3"),
        (f'{HEADER}\n"aws"x,us-east-1,{AMI},noble\n', "begins in line 2"),
        ('{"cloud": "aws"}', "no list of images"),
        ('[{"cloud" "aws"}]', "line 1, column 11"),
        ("[" * 100_000, "too deep"),
        ("[" + "1" * 5_000 + "]", "far too long"),
        (f"{HEADER}\n{ROW}é".encode("latin-1"), "line 2"),
        (f"{HEADER}\n{ROW}".encode("utf-16"), "UTF-8"),
        (f"{HEADER}\n{ROW}\x00\n", "no text file"),
        (b"x" * (import_files.MAX_BYTES + 1), "10 MB"),
        ("cloud,cloud_image_id\n" + "a,b\n" * (import_files.MAX_LINES + 1), "20,000"),
    ],
)
def test_what_cannot_be_read(data: bytes | str, words: str) -> None:
    assert words in refusal(data)


def test_a_manifest_of_packer() -> None:
    second = "ami-0fedcba9876543210"
    content = read(
        builds(
            build(
                f"us-east-1:{AMI},eu-west-1:{second}",
                custom_data={"os_family": "ubuntu", "os_version": "24.04", "team": "web"},
            )
        )
    )
    assert content.format == "Packer manifest"
    common = {"cloud": "aws", "name": "web", "os_family": "ubuntu", "os_version": "24.04"}
    assert content.lines == [
        Line("build 1 (web)", {**common, "location": "us-east-1", "cloud_image_id": AMI}),
        Line("build 1 (web)", {**common, "location": "eu-west-1", "cloud_image_id": second}),
    ]
    assert content.unknown == ()


def test_of_several_builds_of_an_image_the_newest_counts() -> None:
    gce = {"builder_type": "googlecompute", "artifact_id": "web"}
    content = read(
        builds(
            build(**gce, build_time=2, custom_data={"project": "acme-images", "name": "newest"}),
            build(**gce, build_time=1, custom_data={"project": "acme-images", "name": "older"}),
            build(),
            build(**gce, build_time=None, custom_data={"project": "other-images", "name": "other"}),
        )
    )
    assert [line.values["name"] for line in content.lines] == ["newest", "web", "other"]
    assert content.notes == ("Older builds of the same images, left out: 1.",)


def test_a_build_without_a_name_is_called_after_its_image() -> None:
    (line,) = read(builds(build(name="amazon-ebs"))).lines
    assert line.values["name"] == AMI


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (build(builder_type="docker"), "“docker” makes no image"),
        (build(builder_type=None), "makes no image"),
        (build("web", builder_type="vsphere-iso"), "instance UUID"),
        (build(custom_data="text"), "custom_data is no object"),
        (build(custom_data={"tags": {"a": "b"}}), "tags must be one text"),
        (build(artifact_id=None), "REGION:AMI-ID"),
        ("text", "no object"),
    ],
)
def test_a_build_that_says_too_little(broken: object, words: str) -> None:
    bad, good = read(builds(broken, build())).lines
    assert words in bad.error
    assert bad.place.startswith("build 1")
    assert not good.error


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("'=1+1")
@example("''")
def test_what_is_protected_comes_back(text: str) -> None:
    cell = protected(text)
    assert unprotected(cell) == text
    assert cell[:1] not in set("=+-@\t\r\n")


@settings(max_examples=200)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        content = import_files.read(data)
    except UnreadableFile:
        return
    assert content.lines


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(
                    ["builds", "name", "builder_type", "artifact_id", "custom_data", "build_time"]
                ),
                each,
            )
        ),
        max_leaves=30,
    )
)
def test_any_json_is_read_or_refused(data: object) -> None:
    for text in (json.dumps(data), json.dumps([data]), builds(data)):
        try:
            assert read(text).lines
        except UnreadableFile:
            continue
