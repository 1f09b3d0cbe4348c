"""Examples for other tools: each value is one literal, whatever characters it contains."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from webapp.clouds import CLOUDS, examples
from webapp.clouds.locators import Locator

HOSTILE = (
    "it's",
    'a "name"',
    "$(touch /tmp/hostile) `id` $HOME",
    "${path.root} %{ if true } $${x}",
    "{{ lookup('env', 'HOME') }} {% raw %} {# x #}",
    "back\\slash\\",
    "-n --option; rm -rf x | cat & # !",
    "café 東京 🚀",
    "a: b, [c] {d} *e &f !g",
)
LOCATORS = {
    "aws": Locator("us-east-1", "ami-0123456789abcdef0"),
    "azure": Locator("eastus", "Canonical/ubuntu-24_04-lts/server/24.04.202610150"),
    "gce": Locator("", "my-project/global/images/database-v7"),
    "openstack": Locator("RegionOne", "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"),
    "vmware": Locator("Datacenter1", "501e5a2b-8c9d-0e1f-2a3b-4c5d6e7f8091", "Cluster1"),
}
GROUP = (
    "/subscriptions/6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/g/providers/"
    "Microsoft.Compute"
)
AZURE_IDS = (
    f"{GROUP}/images/web",
    f"{GROUP}/galleries/gal/images/web/versions/1.2.3",
    "/CommunityGalleries/gal-1/Images/web/Versions/1.2.3",
    "/SharedGalleries/gal-1/Images/web/Versions/1.2.3",
)


class _Loader(yaml.SafeLoader):
    """Reads `!unsafe` as Ansible does: as a text that is no template."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_gets_each_text_as_one_word(text: str) -> None:
    command = examples.command("printf", "%s|", text, "end")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == f"{text}|end|"


@pytest.mark.parametrize("text", HOSTILE)
def test_hcl_gets_each_text_as_a_string(text: str) -> None:
    literal = examples.hcl(text)
    assert json.loads(literal.replace("$${", "${").replace("%%{", "%{")) == text
    without_escapes = literal.replace("$${", "").replace("%%{", "")
    assert "${" not in without_escapes
    assert "%{" not in without_escapes


@pytest.mark.parametrize("text", HOSTILE)
def test_yaml_gets_each_text_as_a_string(text: str) -> None:
    literal = examples.yaml(text)
    assert yaml.load(f"- x: {literal}", _Loader) == [{"x": text}]  # noqa: S506  a safe loader
    assert literal.startswith("!unsafe") == any(each in text for each in ("{{", "{%", "{#"))


def test_packer_gets_no_actions() -> None:
    assert examples.packer("a {{ b") == '"a {{`{{`}} b"'


@pytest.mark.parametrize("key", CLOUDS)
def test_every_cloud_has_an_example_for_each_tool(key: str) -> None:
    locator = LOCATORS[key]
    assert CLOUDS[key].parse_image_id(locator.image_id).value == locator.image_id
    found = {each.tool: each.text for each in CLOUDS[key].examples(locator, "name")}
    assert {"Terraform", "Packer", "Ansible"} < set(found)
    assert len(found) == 4
    parts = re.split("[/:]", locator.image_id)
    assert all(parts[-1] in text for tool, text in found.items() if key != "vmware")
    yaml.load(found["Ansible"], _Loader)  # noqa: S506  a safe loader
    for text in (found["Terraform"], found["Packer"]):
        assert text.count("{") == text.count("}")


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_a_template_stay_texts(text: str) -> None:
    locator = Locator(text, LOCATORS["vmware"].image_id, text)
    found = {each.tool: each.text for each in CLOUDS["vmware"].examples(locator, text)}
    assert examples.hcl(text) in found["Terraform"]
    assert examples.packer(text) in found["Packer"]
    (task,) = yaml.load(found["Ansible"], _Loader)  # noqa: S506  a safe loader
    assert task["community.vmware.vmware_guest_info"]["datacenter"] == text
    script = found["govc"].replace("govc find", "printf '%s|'", 1)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"/{text.strip('/')}|-type|")


def test_a_template_without_a_known_name_has_fewer_examples() -> None:
    tools = [each.tool for each in CLOUDS["vmware"].examples(LOCATORS["vmware"], "")]
    assert tools == ["Ansible", "govc"]


@pytest.mark.parametrize("image_id", AZURE_IDS)
def test_every_kind_of_azure_image_has_examples(image_id: str) -> None:
    assert CLOUDS["azure"].parse_image_id(image_id).value == image_id
    found = {each.tool: each.text for each in CLOUDS["azure"].examples(Locator("", image_id), "")}
    assert image_id in found["Terraform"]
    assert yaml.safe_load(found["Ansible"])
    assert "web" in found["Packer"]
    assert "web" in found["Azure CLI"]


def test_aliases_stay_aliases() -> None:
    family = "debian-cloud/global/images/family/debian-13"
    found = {each.tool: each.text for each in CLOUDS["gce"].examples(Locator("", family), "")}
    assert 'family  = "debian-13"' in found["Terraform"]
    assert "describe-from-family debian-13" in found["gcloud"]
    parameter = Locator("us-east-1", "resolve:ssm:/golden/web")
    found = {each.tool: each.text for each in CLOUDS["aws"].examples(parameter, "")}
    assert 'name = "/golden/web"' in found["Terraform"]
    assert found["AWS CLI"].endswith("--name /golden/web")
