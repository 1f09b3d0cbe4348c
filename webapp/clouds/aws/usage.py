"""Examples of how to use an AMI in tools such as Terraform."""

from __future__ import annotations

from webapp.clouds.aws.parameters import parameter_in
from webapp.clouds.examples import Example, block, command, hcl, packer, task, yaml


def examples(region: str, image_id: str) -> tuple[Example, ...]:
    """Return the examples for an AMI, or for a parameter that refers to one."""
    provider = block('provider "aws"', region=hcl(region))
    start = task(
        "Start an instance",
        "amazon.aws.ec2_instance",
        f"region: {yaml(region)}",
        f"image_id: {yaml(image_id)}",
        "instance_type: t3.micro",
    )
    if parameter := parameter_in(image_id):
        source = block('data "aws_ssm_parameter" "image"', name=hcl(parameter))
        words = ("aws", "ssm", "get-parameter", "--region", region, "--name", parameter)
        return (
            Example("Terraform", f"{provider}\n\n{source}"),
            Example("Ansible", start),
            Example("AWS CLI", command(*words)),
        )
    ami = (
        'data "aws_ami" "image" {\n'
        "  filter {\n"
        '    name   = "image-id"\n'
        f"    values = [{hcl(image_id)}]\n"
        "  }\n"
        "}"
    )
    builder = block(
        'source "amazon-ebs" "image"',
        region=packer(region),
        source_ami=packer(image_id),
        instance_type='"t3.micro"',
        ssh_username='"…"',
        ami_name='"…"',
    )
    words = ("aws", "ec2", "describe-images", "--region", region, "--image-ids", image_id)
    return (
        Example("Terraform", f"{provider}\n\n{ami}"),
        Example("Packer", builder),
        Example("Ansible", start),
        Example("AWS CLI", command(*words)),
    )
