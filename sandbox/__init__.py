"""Loopback servers that stand for the clouds: for the demonstration, and for tests."""

CLOUDS = {
    "aws": "http",
    "gce": "http",
    "openstack": "http",
    "azure": "https",
    "vmware": "https",
}
"""Each cloud, in the order of their ports, and what it speaks. `sandbox.<key>` has two functions:
`start(port)` serves from threads of this process and yields the address, and `credentials(address)`
gives every credential field. With https both take the authority whose certificates to use, too."""
