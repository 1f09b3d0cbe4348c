"""Loopback servers that imitate the clouds, for the demonstration and for tests."""

CLOUDS = {
    "aws": "http",
    "gce": "http",
    "openstack": "http",
    "azure": "https",
    "vmware": "https",
}
"""The protocol of each cloud, in the order of their ports.

The module `sandbox.<key>` has two functions. `start(port)` serves from threads of this process and
yields the URL. `credentials(url)` returns every credential field. With https, both also take the
certificate authority to use.
"""
