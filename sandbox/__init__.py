"""Loopback servers that imitate the clouds, for the demonstration and for tests."""

CLOUDS = {
    "aws": "http",
    "gce": "http",
    "openstack": "http",
    "azure": "https",
    "vmware": "https",
}
"""The keys of the clouds with their protocols, in the order of the ports of the servers.

The module `sandbox.<key>` serves one cloud and has two functions. `start(port)` returns a context
manager that serves the cloud from threads of this process and yields the URL. `credentials(url)`
returns the value of every credential field for the sandbox at this URL. For a cloud with https,
both functions also have a parameter for the certificate authority.
"""
