"""The peers for the contract tests, one for each cloud."""

from __future__ import annotations

from tests.clouds.aws.peer import AwsPeer
from tests.clouds.azure.peer import AzurePeer
from tests.clouds.gce.peer import GcePeer
from tests.clouds.openstack.peer import OpenStackPeer
from tests.clouds.peer import Peer
from tests.clouds.vmware.peer import VMwarePeer

PEERS: tuple[Peer, ...] = (AwsPeer(), GcePeer(), OpenStackPeer(), AzurePeer(), VMwarePeer())
