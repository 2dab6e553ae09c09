"""The hosts that tokens may be sent to, and the one way to read a host out of an address."""

import re
from ipaddress import ip_address

#: Harvest's domains: tokens are sent to no other host on the internet.
_HARVEST = (".harvestapp.com", ".getharvest.com")
_LONGEST_HOST = 253
#: Addresses that all URL parsers read alike: the one that judges and the one that connects are not
#: the same, and a backslash ends a host for one of them only.
_ADDRESS = re.compile(
    r"https?://(?P<host>(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}|\[[0-9a-f:]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/[!-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str | None:
    """The host of a web address in small letters, None where URL parsers may read another one."""
    parts = _ADDRESS.fullmatch(address)
    if not parts or not 0 < int(parts["port"] or 1) < 2**16 or len(parts["host"]) > _LONGEST_HOST:
        return None
    return parts["host"].lower().strip("[]")


def trusted(address: str) -> str:
    """`address`, scheme and host in small letters, if tokens may be sent to it: https to Harvest's
    domains, anything to this machine.

    Raises ValueError with a clause that repeats no more than the host.
    """
    host = host_of(address)
    if host is None:
        raise ValueError("this is not an address such as https://api.harvestapp.com/v2; correct it")
    scheme, _, rest = address.partition("://")
    if not is_loopback(host) and not (scheme.lower() == "https" and host.endswith(_HARVEST)):
        raise ValueError(
            "it leads to another host: a token is only sent to Harvest "
            "(https://….harvestapp.com, https://….getharvest.com) or to this machine (127.0.0.1); "
            "change the address or remove the variable"
        )
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority}".lower() + slash + path
