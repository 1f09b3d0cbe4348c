"""Answers of EC2, SSM and STS, for failures that a simulator cannot produce."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

import botocore.session

from sandbox.faulty import Answer, Behavior, Request

STS_ACTIONS = {"AssumeRole", "GetCallerIdentity"}


def action_of(request: Request) -> str:
    """Return the operation that a request calls, for example `DescribeImages`.

    EC2 and STS expect it in a form field, and SSM in a header such as `AmazonSSM.GetParameter`.
    """
    target = request.headers.get("X-Amz-Target", "")
    return target.rpartition(".")[2] or request.form["Action"]


def aws_error(code: str, message: str = "No.", status: int = 400) -> Behavior:
    """Return a behavior that answers with an error, in the format of the called service."""
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"

    def behave(request: Request) -> Answer:
        if action_of(request) == "GetParameter":
            return Answer(
                status,
                json.dumps({"__type": code, "message": message}).encode(),
                "application/x-amz-json-1.1",
            )
        if action_of(request) in STS_ACTIONS:
            body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
        else:
            body = f"<Response><Errors><Error>{error}</Error></Errors></Response>"
        return Answer(status, body.encode())

    return behave


def by_action(*, otherwise: Behavior, **behaviors: Behavior) -> Behavior:
    """Return a behavior that uses `behaviors` by action, and `otherwise` for all other actions."""
    return lambda request: behaviors.get(action_of(request), otherwise)(request)


def by_region(*, otherwise: Behavior, **behaviors: Behavior) -> Behavior:
    """Return a behavior that uses `behaviors` by region, and `otherwise` for all other regions.

    A region is written with _ instead of -, for example `eu_west_1`. The region of a request is in
    its signature: Credential=KEY/DATE/REGION/SERVICE/aws4_request.
    """

    def behave(request: Request) -> Answer | None:
        region = request.headers["Authorization"].split("/")[2]
        return behaviors.get(region.replace("-", "_"), otherwise)(request)

    return behave


def caller(account: str = "123456789012") -> Behavior:
    """Return a behavior that answers GetCallerIdentity with a user of this account."""
    body = (
        f"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{account}</Account>"
        f"<Arn>arn:aws:iam::{account}:user/somebody</Arn><UserId>AIDA</UserId>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
    return lambda _: Answer(200, body.encode())


def regions(**status: str) -> Behavior:
    """Return a behavior that answers with the opt-in status of each region.

    A region is written with _ instead of -, for example `eu_west_1`, and so is its status.
    """
    items = "".join(
        f"<item><regionName>{name.replace('_', '-')}</regionName>"
        f"<optInStatus>{opt_in.replace('_', '-')}</optInStatus></item>"
        for name, opt_in in status.items()
    )
    body = f"<DescribeRegionsResponse><regionInfo>{items}</regionInfo></DescribeRegionsResponse>"
    return lambda _: Answer(200, body.encode())


def images(*described: Mapping[str, Any]) -> Behavior:
    """Return a behavior that answers DescribeImages with these images, in botocore's format."""
    body = _xml(_output_shape(), {"Images": list(described)})
    return lambda _: Answer(
        200, f"<DescribeImagesResponse>{body}</DescribeImagesResponse>".encode()
    )


def _output_shape() -> Any:
    return (
        botocore.session.Session()
        .get_service_model("ec2")
        .operation_model("DescribeImages")
        .output_shape
    )


def _xml(shape: Any, value: Any) -> str:
    """Return `value` as EC2 writes it, according to botocore's description of the answer."""
    if shape.type_name == "structure":
        members = ((name, each, shape.members.get(name)) for name, each in value.items())
        return "".join(
            f"<{tag}>{_xml(member, each)}</{tag}>"
            for name, each, member in members
            if member is not None
            for tag in [member.serialization.get("name", name)]
        )
    if shape.type_name == "list":
        return "".join(f"<item>{_xml(shape.member, each)}</item>" for each in value)
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(str(value))


def parameter(value: str, kind: str = "String") -> Behavior:
    """Return a behavior that answers GetParameter with a parameter of this value and type."""
    body = json.dumps({"Parameter": {"Name": "/golden", "Type": kind, "Value": value}})
    return lambda _: Answer(200, body.encode(), "application/x-amz-json-1.1")
