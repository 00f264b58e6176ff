//! SHA-256 (FIPS 180-4). The programs that compute it have other names on each system, and a crate would be the only
//! one that these tasks need; it is short.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The first 32 bits of the fractions of the square roots of the first 8 primes.
const START: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// The same of the cube roots of the first 64 primes.
#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// The bytes that are taken in at once.
const BLOCK: usize = 64;

/// The hash of a file, in hexadecimal digits.
pub fn of_file(path: &Path) -> io::Result<String> {
    of(&mut File::open(path)?)
}

fn of(reader: &mut impl Read) -> io::Result<String> {
    let mut state = START;
    let mut length = 0_u64;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        // Whole blocks, until the end.
        let read = reader.by_ref().take(1 << 20).read_to_end(&mut buffer)?;
        length += read as u64;
        let (blocks, rest) = buffer.as_chunks::<BLOCK>();
        blocks.iter().for_each(|block| take(&mut state, block));
        if read == 0 || !rest.is_empty() {
            let mut last = rest.to_vec();
            last.push(0x80);
            last.resize((last.len() + 8).next_multiple_of(BLOCK) - 8, 0);
            last.extend((length * 8).to_be_bytes());
            last.as_chunks::<BLOCK>().0.iter().for_each(|block| take(&mut state, block));
            return Ok(state.map(|word| format!("{word:08x}")).concat());
        }
    }
}

/// Takes a block in.
fn take(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let mut schedule: Vec<u32> = block.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
    while let [.., w16, w15, _, _, _, _, _, _, _, w7, _, _, _, _, w2, _] = schedule.as_slice()
        && schedule.len() < ROUNDS.len()
    {
        let s0 = w15.rotate_right(7) ^ w15.rotate_right(18) ^ (w15 >> 3);
        let s1 = w2.rotate_right(17) ^ w2.rotate_right(19) ^ (w2 >> 10);
        let next = w16.wrapping_add(s0).wrapping_add(*w7).wrapping_add(s1);
        schedule.push(next);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (word, round) in schedule.iter().zip(ROUNDS) {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let one = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(round).wrapping_add(*word);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        let two = s0.wrapping_add(majority);
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
    }
    state.iter_mut().zip([a, b, c, d, e, f, g, h]).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> String {
        of(&mut &*bytes).unwrap()
    }

    #[test]
    fn the_hashes_are_those_of_the_standard() {
        assert_eq!(hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hash(two_blocks), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        let million = vec![b'a'; 1_000_000];
        assert_eq!(hash(&million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    #[test]
    fn a_length_at_the_edge_of_a_block_or_of_what_is_read_at_once_is_hashed_too() {
        // By sha256sum of as many zeros.
        assert_eq!(hash(&[0; 55]), "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
        assert_eq!(hash(&[0; 56]), "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb");
        assert_eq!(hash(&[0; 64]), "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
        assert_eq!(hash(&vec![0; 1 << 20]), "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
    }
}
