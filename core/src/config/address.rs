//! Addresses and ranges of addresses in the rules for the network.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Returns true if an address belongs to the public internet: it is in none of the blocks that IANA's registries of
/// special-purpose addresses (RFC 6890) reserve for something else, is not multicast, and does not wrap an address of
/// another kind. An IPv4-mapped address counts as its IPv4 address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    const NOT_PUBLIC_V4: [([u8; 4], u8); 15] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // Azure's own service for its machines, at an address that IANA does not list as special.
        ([168, 63, 129, 16], 32),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        // Multicast and reserved addresses, up to the broadcast address.
        ([224, 0, 0, 0], 3),
    ];
    // IANA gives out only 2000::/3 of IPv6 as public addresses. These blocks in it are special.
    const NOT_PUBLIC_V6: [(Ipv6Addr, u8); 4] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    let within = |(net, length): (IpAddr, u8)| IpNet::new_assert(net, length).contains(&address);
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let v4 = IpAddr::V4(v4);
            !NOT_PUBLIC_V4.into_iter().any(|(net, length)| IpNet::new_assert(net.into(), length).contains(&v4))
        }
        IpAddr::V6(v6) => {
            v6.octets()[0] >> 5 == 1 && !NOT_PUBLIC_V6.into_iter().map(|(net, length)| (net.into(), length)).any(within)
        }
    }
}

/// Parses an address or a range of addresses: `10.0.0.5`, `10.0.0.0/8`, `fd00::1`, `[fd00::1]`, `[fd00::]/8`.
pub(crate) fn net(text: &str) -> Option<IpNet> {
    let bare = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.contains(':') && (rest.is_empty() || rest.starts_with('/')) => {
            format!("{address}{rest}")
        }
        Some(_) => return None,
        None => text.to_owned(),
    };
    let net: IpNet =
        bare.parse().or_else(|_| bare.parse::<IpAddr>().map(|address| address.to_canonical().into())).ok()?;
    Some(net.trunc())
}

/// Parses a port. Port 0 is none.
pub(crate) fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes `net` as [`net`](net()) reads it.
pub(crate) fn write_net(net: IpNet, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match net.addr() {
        IpAddr::V4(address) => write!(f, "{address}")?,
        IpAddr::V6(address) => write!(f, "[{address}]")?,
    }
    if net.prefix_len() == net.max_prefix_len() { Ok(()) } else { write!(f, "/{}", net.prefix_len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        let public =
            ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "223.255.255.255"];
        let special = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "::7f00:1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in special.into_iter().map(|text| text.parse().unwrap()) {
            assert!(!is_public(address), "{address}");
        }
        assert!(!is_public("::ffff:10.0.0.1".parse().unwrap()) && is_public("::ffff:8.8.8.8".parse().unwrap()));
    }
}
