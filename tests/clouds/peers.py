"""The peers that the contract's tests run against, one line a cloud."""

from __future__ import annotations

from tests.clouds.aws_peer import AwsPeer
from tests.clouds.azure_peer import AzurePeer
from tests.clouds.gce_peer import GcePeer
from tests.clouds.openstack_peer import OpenStackPeer
from tests.clouds.peer import Peer
from tests.clouds.vmware_peer import VMwarePeer

PEERS: tuple[Peer, ...] = (AwsPeer(), GcePeer(), OpenStackPeer(), AzurePeer(), VMwarePeer())
