//! The keys that tokens are verified with, from files: PEM, JWKS, and a shared secret where that is configured.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// A file of keys is not read beyond this.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Keys in use at once.
const KEYS_COUNT_MAX: usize = 32;
/// A shared secret has at least the bytes of the hash it is used with (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// RSA keys have at least 2,048 bits (RFC 7518, section 3.3), and at most as many as can be verified here.
const RSA_BITS: RangeInclusive<usize> = 2_048..=4_096;
/// An uncompressed point on P-256.
const P256_POINT_BYTES: usize = 65;

/// Where the keys come from. All of them count at once, so that a platform can change over without a gap.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyFiles {
    /// Public keys in PEM, one a file: Ed25519, P-256 or RSA.
    pub pem: Vec<PathBuf>,
    /// A JSON Web Key Set of public keys.
    pub jwks: Option<PathBuf>,
    /// A shared secret for HS256, taken byte for byte but for white space at its end.
    pub hs256_secret: Option<PathBuf>,
}

/// Why keys were not taken. Those in use stay in use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no key that tokens can be verified with.
    #[error("{}: {reason}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No file is configured, or all of them are empty.
    #[error("no key to verify tokens with")]
    Nothing,
    /// More keys than are taken.
    #[error("{count} keys, at most {KEYS_COUNT_MAX} are taken")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// A key, bound to the one algorithm that it is used with.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    algorithm: Algorithm,
    decoding: DecodingKey,
    kid: Option<String>,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} key", self.algorithm)
    }
}

impl VerifyingKey {
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

/// The keys in use.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

impl KeySet {
    /// Reads all files anew; all or nothing.
    pub fn load(files: &KeyFiles) -> Result<Self, KeyError> {
        let mut set = Self::default();
        for path in &files.pem {
            set.add_pem(&read(path)?).map_err(|reason| KeyError::Key { path: path.clone(), reason })?;
        }
        if let Some(path) = &files.jwks {
            set.add_jwks(&read(path)?).map_err(|reason| KeyError::Key { path: path.clone(), reason })?;
        }
        if let Some(path) = &files.hs256_secret {
            set.add_secret(read(path)?.trim_ascii_end()).map_err(|reason| KeyError::Key { path: path.clone(), reason })?;
        }
        match set.keys.len() {
            0 => Err(KeyError::Nothing),
            count if count > KEYS_COUNT_MAX => Err(KeyError::TooMany { count }),
            _ => Ok(set),
        }
    }

    /// The keys that a token with this algorithm and key id may be signed by: those of the algorithm, and of the id where both name one.
    pub(super) fn candidates<'a>(&'a self, algorithm: Algorithm, kid: Option<&'a str>) -> impl Iterator<Item = &'a VerifyingKey> {
        self.keys.iter().filter(move |key| {
            let named = match (&key.kid, kid) {
                (Some(own), Some(kid)) => own == kid,
                _ => true,
            };
            named && key.algorithm == algorithm
        })
    }

    pub(super) fn add_pem(&mut self, pem: &[u8]) -> Result<(), String> {
        if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
            return Err("this is a private key; a node is given the public one".to_owned());
        }
        let (algorithm, decoding) = if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            (Algorithm::EdDSA, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            if key.try_get_as_bytes().is_ok_and(|point| point.len() != P256_POINT_BYTES) {
                return Err("an elliptic-curve key must be of P-256 (ES256)".to_owned());
            }
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            check_rsa_bits(key.try_get_as_bytes().ok().and_then(pkcs1_modulus).map(|modulus| bits(modulus.iter().copied(), 8)))?;
            (Algorithm::RS256, key)
        } else {
            return Err("not a public key in PEM (Ed25519, P-256 or RSA)".to_owned());
        };
        self.keys.push(VerifyingKey { algorithm, decoding, kid: None });
        Ok(())
    }

    pub(super) fn add_jwks(&mut self, json: &[u8]) -> Result<(), String> {
        let set: JwkSet = serde_json::from_slice(json).map_err(|error| format!("not a JSON Web Key Set: {error}"))?;
        for (index, jwk) in set.keys.iter().enumerate() {
            if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
                continue;
            }
            let algorithm = jwk_algorithm(jwk).map_err(|reason| format!("key {index}: {reason}"))?;
            let decoding = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {index}: {error}"))?;
            self.keys.push(VerifyingKey { algorithm, decoding, kid: jwk.common.key_id.clone() });
        }
        Ok(())
    }

    pub(super) fn add_secret(&mut self, secret: &[u8]) -> Result<(), String> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("a secret of {} bytes is too short, at least {SECRET_BYTES_MIN} are asked for", secret.len()));
        }
        self.keys.push(VerifyingKey { algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret), kid: None });
        Ok(())
    }
}

fn jwk_algorithm(jwk: &Jwk) -> Result<Algorithm, String> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::RSA(key) => {
            check_rsa_bits(base64url_digits(&key.n).map(|digits| bits(digits, 6).saturating_sub(6 * key.n.len() % 8)))?;
            Algorithm::RS256
        }
        AlgorithmParameters::OctetKey(_) => {
            return Err("a shared secret does not belong into a key set; see auth.hs256_secret_file".to_owned());
        }
        _ => return Err("only Ed25519, P-256 and RSA keys are taken".to_owned()),
    };
    let named = match jwk.common.key_algorithm {
        None => return Ok(algorithm),
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDSA,
        Some(KeyAlgorithm::ES256) => Algorithm::ES256,
        Some(KeyAlgorithm::RS256) => Algorithm::RS256,
        Some(other) => return Err(format!("algorithm {other} is not taken")),
    };
    if named == algorithm { Ok(algorithm) } else { Err(format!("algorithm {named:?} does not fit its key")) }
}

fn check_rsa_bits(bits: Option<usize>) -> Result<(), String> {
    match bits {
        Some(bits) if RSA_BITS.contains(&bits) => Ok(()),
        Some(bits) => Err(format!("an RSA key must have at least {} bits and at most {}, not {bits}", RSA_BITS.start(), RSA_BITS.end())),
        None => Err("an RSA key without a modulus".to_owned()),
    }
}

/// How many bits a number has whose digits, the highest first, have `width` bits each.
fn bits(digits: impl Iterator<Item = u8>, width: usize) -> usize {
    let mut digits = digits.skip_while(|digit| *digit == 0);
    let Some(first) = digits.next() else { return 0 };
    first.ilog2() as usize + 1 + width * digits.count()
}

fn base64url_digits(text: &str) -> Option<impl Iterator<Item = u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    text.bytes().map(digit).collect::<Option<Vec<u8>>>().map(Vec::into_iter)
}

/// The modulus in a public key of RSA: the first number of a sequence (RFC 8017, appendix A.1.1).
fn pkcs1_modulus(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    der_value(der_value(der, SEQUENCE)?, INTEGER)
}

fn der_value(der: &[u8], tag: u8) -> Option<&[u8]> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // So many bytes of length follow.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.get(..length)
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    use std::io::Read;
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(KeyError::Key { path: path.to_owned(), reason: format!("larger than {FILE_BYTES_MAX} bytes") });
    }
    Ok(bytes)
}
