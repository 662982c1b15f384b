//! Which addresses are out in the world, so that whoever names one can reach nothing inside with it.
//!
//! A request that goes where somebody else says could go to a machine that only this one reaches: to a service on it, to
//! a neighbour in its network, to where a cloud tells machines their secrets. So an address is refused unless it is known to
//! be public. Sources: the registries of special-purpose addresses of IANA,
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not public: the first address, the length of the prefix, what they are.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Blocks of IPv6 that are not public although they lie among the global ones, or have a name of their own.
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "this machine"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
    // Among them Teredo, whose addresses stand for others.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

/// Addresses of IPv6 that stand for one of IPv4: the first one, the length of the prefix, and behind how many bits the
/// other address lies.
const EMBEDDED: &[(Ipv6Addr, u32, u32)] = &[
    // IPv4-mapped.
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 96),
    // NAT64, by its well-known prefix.
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 96),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 16),
];

/// Global unicast; what else there is has not been given to anybody out in the world.
const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What an address is, unless it is public: in a few words, for messages.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let is_in = |first: Ipv4Addr, length: u32| (address.to_bits() ^ first.to_bits()) >> (32 - length) == 0;
    V4.iter().find(|(first, length, _)| is_in(*first, *length)).map(|(.., what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let is_in = |first: Ipv6Addr, length: u32| (address.to_bits() ^ first.to_bits()) >> (128 - length) == 0;
    if let Some((.., behind)) = EMBEDDED.iter().find(|(first, length, _)| is_in(*first, *length)) {
        let bits = (address.to_bits() << behind) >> 96;
        return not_public_v4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or_default()));
    }
    if let Some((.., what)) = V6.iter().find(|(first, length, _)| is_in(*first, *length)) {
        return Some(what);
    }
    (!is_in(GLOBAL.0, GLOBAL.1)).then_some("reserved")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_known_to_be_public_is_refused() {
        for (written, expected) in [
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("unspecified")),
            ("1.1.1.1", None),
            ("9.255.255.255", None),
            ("10.0.0.0", Some("private")),
            ("10.255.255.255", Some("private")),
            ("11.0.0.0", None),
            ("100.63.255.255", None),
            ("100.64.0.0", Some("shared by a provider")),
            ("100.127.255.255", Some("shared by a provider")),
            ("100.128.0.0", None),
            ("126.255.255.255", None),
            ("127.0.0.1", Some("this machine")),
            ("127.255.255.254", Some("this machine")),
            ("128.0.0.0", None),
            ("169.253.255.255", None),
            ("169.254.169.254", Some("link-local")),
            ("169.255.0.0", None),
            ("172.15.255.255", None),
            ("172.16.0.0", Some("private")),
            ("172.31.255.255", Some("private")),
            ("172.32.0.0", None),
            ("192.0.0.8", Some("reserved")),
            ("192.0.1.0", None),
            ("192.0.2.1", Some("for documentation")),
            ("192.88.99.1", Some("reserved")),
            ("192.167.255.255", None),
            ("192.168.0.1", Some("private")),
            ("192.169.0.0", None),
            ("198.17.255.255", None),
            ("198.18.0.1", Some("for benchmarks")),
            ("198.19.255.255", Some("for benchmarks")),
            ("198.20.0.0", None),
            ("198.51.100.7", Some("for documentation")),
            ("203.0.113.7", Some("for documentation")),
            ("223.255.255.255", None),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("255.255.255.255", Some("reserved")),
            ("::", Some("unspecified")),
            ("::1", Some("this machine")),
            ("::2", Some("reserved")),
            // As IPv4-mapped, -compatible, -translated, by NAT64 and by 6to4.
            ("::ffff:127.0.0.1", Some("this machine")),
            ("::ffff:169.254.169.254", Some("link-local")),
            ("::ffff:10.1.2.3", Some("private")),
            ("::ffff:1.1.1.1", None),
            ("::127.0.0.1", Some("reserved")),
            ("::1.1.1.1", Some("reserved")),
            ("::ffff:0:127.0.0.1", Some("reserved")),
            ("64:ff9b::7f00:1", Some("this machine")),
            ("64:ff9b::a9fe:a9fe", Some("link-local")),
            ("64:ff9b::101:101", None),
            ("64:ff9b:1::7f00:1", Some("reserved")),
            ("2002:7f00:1::", Some("this machine")),
            ("2002:a9fe:a9fe::1", Some("link-local")),
            ("2002:c0a8:1:2:3:4:5:6", Some("private")),
            ("2002:101:101::1", None),
            // Teredo, ORCHID, and their neighbours.
            ("2001::1", Some("reserved")),
            ("2001:0:7f00:1::", Some("reserved")),
            ("2001:20::1", Some("reserved")),
            ("2001:1ff:ffff::", Some("reserved")),
            ("2001:200::1", None),
            ("2001:db7::1", None),
            ("2001:db8::1", Some("for documentation")),
            ("2001:4860:4860::8888", None),
            ("3fff:0:1::", Some("for documentation")),
            ("1fff::1", Some("reserved")),
            ("2000::1", None),
            ("3ffe::1", None),
            ("4000::1", Some("reserved")),
            ("5f00::1", Some("reserved")),
            ("100::1", Some("reserved")),
            ("fc00::1", Some("private")),
            ("fd00:ec2::254", Some("private")),
            ("fe80::1", Some("link-local")),
            ("febf::1", Some("link-local")),
            ("fec0::1", Some("reserved")),
            ("ff02::1", Some("multicast")),
        ] {
            assert_eq!(not_public(written.parse().unwrap()), expected, "{written}");
        }
    }
}
