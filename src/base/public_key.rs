//! RSA public keys.
//!
//! Runs on:  any (pure).

/// Algorithm identifier of an RSA key: `rsaEncryption` (RFC 8017, A.1).
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// Bytes of a modulus, which may have a zero before it.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1025;

/// The PKCS#1 key inside a SubjectPublicKeyInfo (RFC 5280, 4.1), if it is one of RSA with a usable length.
pub(crate) fn rsa_key(spki: &[u8]) -> Option<Vec<u8>> {
    let (0x30, body, _) = element(spki)? else { return None };
    let (0x30, algorithm, rest) = element(body)? else { return None };
    let (0x03, bits, _) = element(rest)? else { return None };
    let key = bits.strip_prefix(&[0])?;
    let (0x30, numbers, _) = element(key)? else { return None };
    let (0x02, modulus, _) = element(numbers)? else { return None };
    let is_usable = algorithm.starts_with(RSA) && MODULUS_BYTES.contains(&modulus.len());
    is_usable.then(|| key.to_vec())
}

/// Tag and content of the first DER element, and the rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        let bytes = rest.get(..count).filter(|_| count <= 4)?;
        rest = &rest[count..];
        length = bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    }
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}
