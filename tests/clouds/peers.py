"""The peers that the contract's tests run against, one line a cloud."""

from __future__ import annotations

from tests.clouds.aws_peer import AwsPeer
from tests.clouds.peer import Peer

PEERS: tuple[Peer, ...] = (AwsPeer(),)
