"""Connect to addresses on behalf of people, but only to addresses that the rules allow.

People enter the URLs of private clouds. So without rules, they could make this server connect to
services that only this server can reach. Each connection resolves the host name and applies the
rules to the resulting address. So a name that later resolves to another address cannot circumvent
the rules.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from webapp.clouds.outgoing.calls import LimitExceeded, current_call

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
DEFAULT = "default"
"""The entry of ALLOWED_ENDPOINTS that allows every address that is neither in FORBIDDEN nor an
address of this server."""
LOOPBACK = ("127.0.0.0/8", "::1/128")
FORBIDDEN: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            *LOOPBACK,
            "0.0.0.0/8",  # this host
            "169.254.0.0/16",  # link-local, with the metadata service of most clouds
            "100.100.100.200/32",  # metadata: Alibaba Cloud
            "168.63.129.16/32",  # metadata: Azure
            "192.0.0.192/32",  # metadata: Oracle Cloud
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, with the broadcast address
            "::/128",
            "fe80::/10",  # link-local
            "fec0::/10",  # site-local, the predecessor of private addresses
            "fd00:ec2::/32",  # metadata and other services of AWS
            "fd20:ce::/32",  # metadata: Google Cloud
            "ff00::/8",  # multicast
        ),
    )
)
_TRANSLATED = (
    IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052
    IPv6Network("64:ff9b:1::/48"),  # NAT64, RFC 8215
    IPv6Network("::ffff:0:0:0/96"),  # SIIT, RFC 2765
)
"""IPv6 addresses that end with the IPv4 address to which a translator connects."""
_IPV4_COMPATIBLE = IPv6Network("::/96")
"""IPv6 addresses that end with the IPv4 address to which a router may translate them."""
_ISATAP = 0x5EFE
"""The 32 bits before the IPv4 address in an ISATAP address (RFC 5214), if the u bit is 0."""
MAX_ADDRESSES = 8
"""The maximum number of addresses to try for one host name."""
RESOLVERS_PER_OWNER = 8
"""The maximum number of host names to resolve at the same time for the calls of one account.

Each host name, with its port, needs a thread. Nothing can interrupt getaddrinfo. So if a name
server never responds, the thread is busy until the system's resolver gives up.
"""


class NotConnected(ConnectionError):
    """No connection could be established. The message says why, and is only for the log.

    People must not learn whether the port is closed, a firewall ignores the connection, or the
    rules forbid the address. Otherwise, they could explore a network that only this server can
    reach.
    """


@dataclass(frozen=True)
class EndpointRules:
    """The endpoints that the operator allows: host names in `names`, and `networks`.

    A host name may begin with `*.`. A name without `*.` allows every address to which it resolves.
    A name with `*.` allows neither the addresses in FORBIDDEN nor those of this server, because
    somebody else may be able to create a matching name.

    A network allows addresses in FORBIDDEN only if the network is a part of a forbidden network, so
    that 0.0.0.0/0 does not allow the loopback addresses by accident. Apart from loopback addresses,
    an address of this server is allowed only by a name without `*.`, or by a network that contains
    no other address, such as 10.0.0.5/32.
    """

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    is_default_allowed: bool = True

    @classmethod
    def from_entries(cls, entries: Iterable[str]) -> EndpointRules:
        """Return the rules for the entries of ALLOWED_ENDPOINTS.

        An empty list has the same effect as the entry DEFAULT.
        """
        unique_entries = set(entries)
        names: list[str] = []
        networks: list[Network] = []
        for entry in unique_entries - {DEFAULT}:
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                names.append(entry.lower().rstrip("."))
        return cls(tuple(names), tuple(networks), DEFAULT in unique_entries or not unique_entries)

    def allows(self, host: str, address: Address) -> bool:
        """Return whether this server may connect to `address`, to which `host` resolves."""
        name = host.lower().rstrip(".")
        if name in self.names:
            return True
        is_listed = any(
            each.startswith("*.") and name.endswith(each[1:]) for each in self.names
        ) or any(_is_in(address, network) for network in self.networks)
        if not is_listed and not self.is_default_allowed:
            return False
        return all(self._is_harmless(each) for each in (address, *_embedded_addresses(address)))

    def _is_harmless(self, address: Address) -> bool:
        """Return whether `address` is neither in FORBIDDEN nor an address of this server.

        Also return True if a listed network allows `address`, as the docstring of the class says.
        """
        for forbidden in FORBIDDEN:
            if _is_in(address, forbidden) and not any(
                _is_in(address, each) and _is_part(each, forbidden) for each in self.networks
            ):
                return False
        # The loop above has checked loopback addresses.
        if address.is_loopback or not _is_own(address):
            return True
        return any(_is_in(address, each) and each.num_addresses == 1 for each in self.networks)


rules = EndpointRules()


def configure(entries: Iterable[str]) -> None:
    """Set the rules of this process from the entries of ALLOWED_ENDPOINTS."""
    global rules  # noqa: PLW0603  one set of rules per process, set when the process starts
    rules = EndpointRules.from_entries(entries)


def connect(
    address: tuple[str, int],
    timeout: float | None = None,
    source_address: tuple[str, int] | None = None,
    socket_options: Sequence[tuple[int, int, int | bytes]] | None = None,
    *,
    is_proxy: bool = False,
) -> socket.socket:
    """Return a socket that is connected to `address`.

    `address` is a pair: a host name or an IP address, and a port.

    The connections in the module `connections` call this function. For pyVmomi, http.client calls
    this function instead of socket.create_connection. The rules don't apply to a proxy, because the
    operator configured the proxy.

    Raises NotConnected and LimitExceeded. Raises socket.gaierror if the name can't be resolved.
    """
    host, port = address[0].strip("[]"), address[1]
    problem: Exception = NotConnected("the name has no address")
    for family, kind, protocol, _, target in resolve(host, port)[:MAX_ADDRESSES]:
        if not is_proxy and not _allows(host, target):
            problem = NotConnected(f"ALLOWED_ENDPOINTS does not allow {target[0]}")
            continue
        current_call().seconds_left()
        connection = socket.socket(family, kind, protocol)
        try:
            for option in socket_options or ():
                connection.setsockopt(*option)
            _set_timeout(connection, timeout)
            if source_address:
                connection.bind(source_address)
            connection.connect(target)
            _set_timeout(connection, timeout)  # For the TLS handshake, which may follow.
        except (OSError, LimitExceeded) as error:
            connection.close()
            current_call().seconds_left()
            problem = error
        else:
            return connection
    raise NotConnected(f"no connection to {host}, port {port}: {problem}") from problem


def _set_timeout(connection: socket.socket, timeout: float | None) -> None:
    """Let the next operation of `connection` end by the deadline, and within `timeout` seconds."""
    left = current_call().seconds_left()
    connection.settimeout(left if timeout is None else min(timeout, left))


def require_allowed_behind_proxy(host: str) -> None:
    """Raise NotConnected if a proxy must not connect to `host` on behalf of this server.

    The proxy resolves the name itself, perhaps to another address. So the proxy must have its own
    rules too.
    """
    host = host.strip("[]")
    try:
        targets = [each[-1] for each in resolve(host, 0)]
    except socket.gaierror:
        targets = []  # Behind a proxy, this server may be unable to resolve public names.
    if not all(_allows(host, target) for target in targets):
        raise NotConnected(f"ALLOWED_ENDPOINTS does not allow {host}")


def _allows(host: str, target: Any) -> bool:
    return rules.allows(host, ip_address(str(target[0]).partition("%")[0]))


def resolve(host: str, port: int) -> list[Any]:
    """Return the addresses of `host` in the format of socket.getaddrinfo.

    A name server may never respond, and nothing can interrupt getaddrinfo. So getaddrinfo runs in a
    separate thread for each name, and this function waits only until the deadline of the call.
    Raises socket.gaierror and LimitExceeded.
    """
    call = current_call()
    left = call.seconds_left()
    call.end_parsing()  # Other calls can parse while this thread waits.
    if _is_address(host):  # An IP address needs no name server.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        outcome = _resolvers.start(call.owner, host, port)
        return outcome.result(left)
    except TimeoutError:
        call.seconds_left()
        raise
    except (UnicodeError, ValueError) as error:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error


class _Resolvers:
    """The names that are being resolved.

    If several calls of one account need the same name and port, they wait for the same thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: dict[tuple[str, str, int], Future[list[Any]]] = {}

    def start(self, owner: str, host: str, port: int) -> Future[list[Any]]:
        """Return the future outcome of resolving `host`.

        Raises socket.gaierror if too many names of the owner are being resolved.
        """
        key = (owner, host, port)
        with self._lock:
            outcome = self._outcomes.get(key)
            if outcome is None:
                if sum(each[0] == owner for each in self._outcomes) >= RESOLVERS_PER_OWNER:
                    raise socket.gaierror(socket.EAI_AGAIN, "too many names are being resolved")
                outcome = self._outcomes[key] = Future()
                threading.Thread(
                    target=self._run, args=(key, outcome), name="resolver", daemon=True
                ).start()
        return outcome

    def _run(self, key: tuple[str, str, int], outcome: Future[list[Any]]) -> None:
        _, host, port = key
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001  `resolve` raises it in the calling thread
            failure: Exception | None = error
        else:
            failure = None
        with self._lock:
            del self._outcomes[key]
        if failure is None:
            outcome.set_result(found)
        else:
            outcome.set_exception(failure)


_resolvers = _Resolvers()


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _is_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _is_part(network: Network, larger: Network) -> bool:
    return network.version == larger.version and network.subnet_of(larger)  # type: ignore[arg-type]


def _embedded_addresses(address: Address) -> Iterator[Address]:
    """Yield the IPv4 addresses within an IPv6 address.

    A router or the operating system may connect to such an IPv4 address instead.
    """
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    is_isatap = int(address) >> 32 & 0xFDFFFFFF == _ISATAP
    is_compatible = address in _IPV4_COMPATIBLE and int(address) > 1
    if is_isatap or is_compatible or any(address in network for network in _TRANSLATED):
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _is_own(address: Address) -> bool:
    """Return whether `address` belongs to this server, or is the broadcast address of a network.

    Connecting a UDP socket sends nothing, but makes the kernel choose a source address. If
    `address` belongs to this server, the source address equals `address`. Do not call this function
    for a loopback address: for 127.0.0.2, the kernel chooses the source address 127.0.0.1, so the
    result would be False.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError as error:
        # The kernel raises EACCES for a broadcast address.
        return error.errno == errno.EACCES
