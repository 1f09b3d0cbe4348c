"""Parsing files: the three formats as real programs write them, and files that are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webapp.clouds.base import Cloud
from webapp.clouds.locators import ImageId
from webapp.transfer import import_formats, packer_manifest
from webapp.transfer.export import COLUMNS, escape_formula, unescape_formula
from webapp.transfer.import_file import FileLine, ParsedFile, UnreadableFile
from webapp.transfer.import_lines import Answers, parse_line

AMI = "ami-0123456789abcdef0"
HEADER = "cloud,location,cloud_image_id,name"
ROW = f"aws,us-east-1,{AMI},noble"
VALUES = {"cloud": "aws", "location": "us-east-1", "cloud_image_id": AMI, "name": "noble"}


def parse(text: str) -> ParsedFile:
    return import_formats.parse_file(text.encode())


def refusal_message(data: bytes | str) -> str:
    """Return the message with which a file is refused."""
    with pytest.raises(UnreadableFile) as caught:
        import_formats.parse_file(data.encode() if isinstance(data, str) else data)
    message = caught.value.message
    assert message[0].isupper()
    assert message.endswith(".")
    return message


def manifest(*builds: object) -> str:
    """Return a Packer manifest with these builds."""
    return json.dumps({"builds": builds, "last_run_uuid": "r"})


def build(artifact: str = f"us-east-1:{AMI}", **values: object) -> dict[str, object]:
    """Return one build of a Packer manifest. `values` replace the defaults."""
    return {
        "name": "web",
        "builder_type": "amazon-ebs",
        "build_time": 1507245986,
        "files": None,
        "artifact_id": artifact,
        "packer_run_uuid": "r",
        "custom_data": None,
        **values,
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
def test_every_format_gives_the_same_image(text: str) -> None:
    (line,) = parse(text).lines
    assert (line.values, line.errors) == (VALUES, ())


def test_lines_are_numbered_as_in_the_file() -> None:
    text = f'{HEADER},description\n{ROW},"over\ntwo lines"\n\n{ROW},short\n'
    file = parse(text)
    assert file.format == "CSV"
    assert [line.position for line in file.lines] == ["line 2", "line 5"]
    assert file.lines[0].values["description"] == "over\ntwo lines"
    assert parse(json.dumps([VALUES, VALUES])).lines[1].position == "item 2"


def test_columns_that_are_not_imported_are_listed_once() -> None:
    file = parse(f"{HEADER},ID,state,Team,Cost centre\n{ROW},7,gone,web,12\n{ROW},8,gone,,\n")
    assert file.ignored_columns == ("id", "state")
    assert file.unknown_columns == ("Team", "Cost centre")
    assert parse(json.dumps([VALUES, {**VALUES, "team": "web"}])).unknown_columns == ("team",)


def test_every_column_of_an_export_is_known() -> None:
    file = parse(",".join(COLUMNS) + "\n" + ",".join("x" for _ in COLUMNS))
    assert file.unknown_columns == ()


def test_an_unreadable_line_does_not_affect_the_others() -> None:
    file = parse(f"{HEADER}\n{ROW},one,too many\n{ROW}\naws\n")
    assert [bool(line.errors) for line in file.lines] == [True, False, False]
    assert "6 cells" in file.lines[0].errors[0]
    assert file.lines[2].values == {"cloud": "aws"}
    file = parse(json.dumps([VALUES, 7, {**VALUES, "name": ["a"]}, {**VALUES, "name": "a\x00"}]))
    assert [line.errors[0][:20] for line in file.lines[1:3]] == [
        "This item isn’t a JS",
        "The value of name mu",
    ]
    assert "Remove the control character U+" in file.lines[3].errors[0]
    assert not file.lines[0].errors


def test_json_numbers_and_booleans_become_text() -> None:
    (line,) = parse(
        json.dumps([{**VALUES, "size_gb": 8, "shared": False, "agent_installed": True}])
    ).lines
    assert (line.values["size_gb"], line.values["shared"]) == ("8", "no")
    assert line.values["agent_installed"] == "yes"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("22.10", "22.10"),
        ("9.0", "9.0"),
        ("1e2", "1e2"),
        ("1" * 5_000, "1" * 5_000),
        ("NaN", "NaN"),
    ],
)
def test_json_numbers_stay_as_they_are_written(number: str, text: str) -> None:
    """22.10 is the version after 22.9, and not the same as 22.1."""
    (line,) = parse(f'[{{"cloud": "aws", "os_version": {number}}}]').lines
    assert line.values["os_version"] == text


def test_all_errors_of_an_item_are_reported() -> None:
    item = {"Name": "a", "name": "b", "location": [1], "os_family": {}, "shared": "a\x00"}
    (line,) = parse(json.dumps([item])).lines
    assert len(line.errors) == 4
    assert not line.values.keys() - {"name"}


@pytest.mark.parametrize("count", [20, 21, 22, 1_200])
def test_only_the_first_errors_of_an_item_or_a_build_are_reported(count: int) -> None:
    item = {" " * number + "name": "noble" for number in range(count + 1)}
    custom_data: dict[str, object] = {f"key {number}": {} for number in range(count)}
    for text in (json.dumps([item]), manifest(build(custom_data=custom_data))):
        (line,) = parse(text).lines
        assert len(line.errors) == min(count, 21)
        more = {20: None, 21: "1 more error.", 22: "2 more errors.", 1_200: "1,180 more errors."}
        assert (more[count] or "") in line.errors[-1]
        assert ("more error" in line.errors[-1]) == (more[count] is not None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "nothing to import"),
        (" \n\t", "nothing to import"),
        ("\ufeff", "nothing to import"),
        (HEADER, "contains no images"),
        ("[]", "contains no images"),
        (manifest(), "contains no images"),
        ("name,location\nnoble,us-east-1\n", "column cloud is missing."),
        ("cloud,name\naws,noble\n", "column cloud_image_id is missing."),
        (f"{HEADER},Name\n{ROW},noble\n", "Two columns are named “name”"),
        (f'{HEADER}\n{ROW}\n"aws,us-east-1\n', "begins on line 3"),
        (f'{HEADER}\n"aws"x,us-east-1,{AMI},noble\n', "begins on line 2"),
        ('{"cloud": "aws"}', "isn’t a list of images"),
        ('[{"cloud" "aws"}]', "line 1, column 11"),
        ("[" * 100_000, "nested too deeply"),
        (f"{HEADER},{','.join(f'c{number}' for number in range(200))}\n{ROW}", "200 columns"),
        (json.dumps([{f"c{number}": 1} for number in range(201)]), "200 columns"),
        ('[{"cloud": "aws", "cloud": "gce"}]', "“cloud” twice"),
        (f"{HEADER}\n{ROW}é".encode("latin-1"), "line 2"),
        (f"{HEADER}\n{ROW}".encode("utf-16"), "UTF-8"),
        (f"{HEADER}\n{ROW}\x00\n", "isn’t a text file"),
        (b"x" * (import_formats.MAX_BYTES + 1), "10 MB"),
        ("cloud,cloud_image_id\n" + "a,b\n" * (import_formats.MAX_LINES + 1), "20,000"),
    ],
)
def test_an_unreadable_file_is_refused(data: bytes | str, words: str) -> None:
    assert words in refusal_message(data)


def test_a_packer_manifest_has_a_line_for_each_image() -> None:
    second = "ami-0fedcba9876543210"
    file = parse(
        manifest(
            build(
                f"us-east-1:{AMI},eu-west-1:{second}",
                custom_data={"os_family": "ubuntu", "os_version": "24.04", "team": "web"},
            )
        )
    )
    assert file.format == "Packer manifest"
    common = {"cloud": "aws", "name": "web", "os_family": "ubuntu", "os_version": "24.04"}
    assert file.lines == [
        FileLine(
            "build 1 (web)",
            {**common, "location": location, "cloud_image_id": image_id},
            default_name=image_id,
        )
        for location, image_id in (("us-east-1", AMI), ("eu-west-1", second))
    ]
    assert file.unknown_columns == ()


def test_only_the_newest_build_of_an_image_is_used() -> None:
    gce = {"builder_type": "googlecompute", "artifact_id": "web"}
    file = parse(
        manifest(
            build(**gce, build_time=2, custom_data={"project": "acme-images", "name": "newest"}),
            build(**gce, build_time=1, custom_data={"project": "acme-images", "name": "older"}),
            build(),
            build(**gce, build_time=None, custom_data={"project": "other-images", "name": "other"}),
        )
    )
    assert [line.values["name"] for line in file.lines] == ["newest", "web", "other"]
    assert file.notes == ("Older builds of the same images were skipped: 1.",)


@pytest.mark.parametrize("name", ["amazon-ebs", "googlecompute", "", None])
def test_a_build_that_is_named_after_a_builder_has_no_name(name: str | None) -> None:
    (line,) = parse(manifest(build(name=name))).lines
    assert "name" not in line.values
    assert line.default_name == AMI


@pytest.mark.parametrize("name", ["x", " x ", "web\x00", "\ud800web", "w" * 256])
def test_a_build_whose_name_an_image_can_t_have_has_no_name(name: str) -> None:
    (line,) = parse(manifest(build(name=name))).lines
    assert (line.values.get("name"), line.default_name, line.errors) == (None, AMI, ())


@pytest.mark.parametrize("builder", ["qemu", "vmware-iso", "vsphere-iso", None])
def test_an_artifact_that_a_post_processor_imported_is_of_its_own_cloud(
    builder: str | None,
) -> None:
    (line,) = parse(manifest(build(builder_type=builder))).lines
    assert line.errors == ()
    assert line.values["cloud"] == "aws"
    assert (line.values["location"], line.values["cloud_image_id"]) == ("us-east-1", AMI)


def test_the_longest_artifacts_show_the_cloud_of_an_unknown_builder() -> None:
    guid = "01234567-89ab-cdef-0123-456789abcdef"
    version = (
        f"/subscriptions/{guid}/resourceGroups/{'g' * 90}/providers/Microsoft.Compute"
        f"/galleries/{'a' * 80}/images/{'i' * 80}/versions/2147483647.2147483647.2147483647"
    )
    (line,) = parse(manifest(build(version, builder_type="qemu"))).lines
    assert (line.values["cloud"], line.values["cloud_image_id"]) == ("azure", version)
    regions = [f"eu-west-{number}" for number in range(40)]
    amis = ",".join(f"{region}:{AMI}" for region in regions)
    lines = parse(manifest(build(amis, builder_type="qemu"))).lines
    assert [line.values["location"] for line in lines] == regions


@pytest.mark.parametrize("builder", ["qemu", "azure-arm"])
def test_a_long_artifact_does_not_show_the_cloud_of_a_build(
    builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def record(text: str) -> list[tuple[Cloud, ImageId]]:
        parsed.append(text)
        return []

    monkeypatch.setattr(packer_manifest, "clouds_for_image_id", record)
    texts = ("a" * 513, "a:b" * 1_000, "'a" * 100, "a " * 100 + AMI)
    lines = parse(manifest(*(build(text, builder_type=builder) for text in texts))).lines
    assert all(line.errors for line in lines)
    assert parsed == []
    parse(manifest(build("a" * 512, builder_type=builder)))
    assert parsed == ["a" * 512]


def test_a_gallery_version_is_named_after_its_definition() -> None:
    artifact = (
        "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/resourceGroups/web/providers"
        "/Microsoft.Compute/galleries/web/images/ubuntu-24.04/versions/1.0.0"
    )
    (line,) = parse(manifest(build(artifact, builder_type="azure-arm", name="azure-arm"))).lines
    assert line.default_name == "ubuntu-24.04-1.0.0"


def test_a_build_that_can_t_be_identified_has_one_error() -> None:
    for broken in (build(""), build(custom_data={"tags": {"a": "b"}})):
        (line,) = parse(manifest(broken)).lines
        parsed = parse_line(line, Answers(), can_share=True)
        assert (len(parsed.errors), parsed.missing) == (1, "")


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
def test_the_first_line_can_declare_the_separator(first: str) -> None:
    header, row = HEADER.replace(",", ";"), ROW.replace(",", ";")
    (line,) = parse(f"{first}\r\n{header}\r\n{row}\r\n").lines
    assert (line.position, line.values["cloud_image_id"]) == ("line 3", AMI)


def test_all_builds_count_towards_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_formats, "MAX_LINES", 100)
    text = manifest(*[build()] * (import_formats.MAX_LINES + 1))
    assert "including older builds" in refusal_message(text)


def test_a_file_with_millions_of_arrays_is_refused() -> None:
    assert "more than 400,000 opening brackets ([ or {)" in refusal_message(
        "[" + "[]," * 1_000_000 + "[]]"
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("8", 8), ("8.0", 8), ("9 GB", 9), ("1_0", None), ("1e3", None), ("8.5", None), ("٨", None)],
)
def test_a_size_is_a_whole_number_in_digits(text: str, size: int | None) -> None:
    line = FileLine("line 1", {"cloud": "aws", "size_gb": text})
    values = parse_line(line, Answers(), can_share=True).values
    assert values is not None
    assert values.choices.get("size_gb") == size


def test_a_build_keeps_a_long_name() -> None:
    name = "ubuntu-noble-" + "x" * 242
    (line,) = parse(manifest(build(name=name))).lines
    assert line.values["name"] == name


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (build("sha256:0a1b", builder_type="docker"), "“docker” doesn’t build images"),
        (build("web", builder_type=None), "doesn’t build images"),
        (build("", builder_type="vsphere-iso"), "the name of this template"),
        (build(custom_data="text"), "custom_data of this build isn’t a JSON object"),
        (build(custom_data={"tags": {"a": "b"}}), "tags must be a string"),
        (build(artifact_id=None), "REGION:AMI-ID"),
        ("text", "isn’t a JSON object"),
    ],
)
def test_an_invalid_build_does_not_affect_the_others(broken: object, words: str) -> None:
    bad, good = parse(manifest(broken, build())).lines
    assert words in bad.errors[0]
    assert bad.position.startswith("build 1")
    assert not good.errors


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("'=1+1")
@example("''")
def test_escaping_a_formula_can_be_reversed(text: str) -> None:
    cell = escape_formula(text)
    assert unescape_formula(cell) == text
    assert cell[:1] not in set("=+-@\t\r\n")


@settings(max_examples=200)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        file = import_formats.parse_file(data)
    except UnreadableFile:
        return
    assert file.lines


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda values: (
            st.lists(values)
            | st.dictionaries(
                st.sampled_from(
                    ["builds", "name", "builder_type", "artifact_id", "custom_data", "build_time"]
                ),
                values,
            )
        ),
        max_leaves=30,
    )
)
def test_any_json_is_parsed_or_refused(data: object) -> None:
    for text in (json.dumps(data), json.dumps([data]), manifest(data)):
        try:
            assert parse(text).lines
        except UnreadableFile:
            continue
