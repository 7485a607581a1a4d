//! The table of attacks: each token here must be refused, each neighbour of it that is right must pass.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};

use super::*;

const NOW: WallTime = WallTime::from_millis(1_790_000_000_000);
const NOW_S: u64 = NOW.as_millis() / 1_000;
const LEEWAY_MS: u64 = 5_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

struct Keys {
    ed: KeyPair,
    other: KeyPair,
    ec: KeyPair,
}

impl Keys {
    fn new() -> Self {
        let pair = |algorithm| KeyPair::generate_for(algorithm).unwrap();
        Self { ed: pair(&PKCS_ED25519), other: pair(&PKCS_ED25519), ec: pair(&PKCS_ECDSA_P256_SHA256) }
    }

    fn verifier(&self, secret: bool) -> TokenVerifier {
        let mut set = KeySet::default();
        set.add_pem(self.ed.public_key_pem().as_bytes()).unwrap();
        set.add_pem(self.ec.public_key_pem().as_bytes()).unwrap();
        if secret {
            set.add_secret(SECRET).unwrap();
        }
        TokenVerifier::new(set, LEEWAY_MS)
    }

    /// The same keys as a key set, each with its kid.
    fn jwks(&self) -> Value {
        let point = self.ec.public_key_raw();
        json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "alg": "EdDSA", "x": base64url(self.ed.public_key_raw())},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "x": base64url(&point[1..33]), "y": base64url(&point[33..])},
        ]})
    }

    /// One that knows the keys from files of their own, and one that knows them from a key set.
    fn both(&self) -> [TokenVerifier; 2] {
        let mut set = KeySet::default();
        set.add_jwks(self.jwks().to_string().as_bytes()).unwrap();
        [self.verifier(false), TokenVerifier::new(set, LEEWAY_MS)]
    }

    fn signed(&self, claims: &Value) -> String {
        sign(&self.ed, &Header::new(Algorithm::EdDSA), claims)
    }
}

fn sign(pair: &KeyPair, header: &Header, claims: &Value) -> String {
    let pem = pair.serialize_pem();
    let key = match header.alg {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(),
        _ => EncodingKey::from_ed_pem(pem.as_bytes()).unwrap(),
    };
    encode(header, claims, &key).unwrap()
}

fn claims() -> Value {
    json!({"sub": "acc", "profiles": ["ann", "acc/bob"], "aud": "leftoff", "exp": NOW_S + 60})
}

fn with(field: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[field] = value;
    claims
}

fn without(field: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(field);
    claims
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    text
}

fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    format!("{}.{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()), base64url(signature))
}

#[test]
fn a_token_of_the_platform_grants_its_profiles() {
    let keys = Keys::new();
    let verifier = keys.verifier(false);
    let grant = verifier.verify(NOW, &keys.signed(&claims())).unwrap();
    assert_eq!(grant.account, "acc");
    assert_eq!(grant.profiles.iter().map(|profile| profile.as_str().to_owned()).collect::<Vec<_>>(), ["acc/bob", "ann"]);
    assert!(grant.read && grant.write);
    assert_eq!(grant.expires.as_millis(), (NOW_S + 60) * 1_000);
    assert!(verifier.verify(NOW, &sign(&keys.ec, &Header::new(Algorithm::ES256), &claims())).is_ok());
}

#[test]
fn scopes_narrow_what_a_token_allows() {
    let keys = Keys::new();
    let verifier = keys.verifier(false);
    for (scope, read, write) in [
        (json!("read"), true, false),
        (json!("write openid"), false, true),
        (json!(["read", "write"]), true, true),
        (json!("readwrite"), false, false),
        (json!(""), false, false),
        (Value::Null, true, true),
    ] {
        let grant = verifier.verify(NOW, &keys.signed(&with("scope", scope.clone()))).unwrap();
        assert_eq!((grant.read, grant.write), (read, write), "{scope}");
    }
}

#[test]
fn claims_that_do_not_hold_are_refused_even_when_signed() {
    let keys = Keys::new();
    let verifier = keys.verifier(false);
    for (what, claims) in [
        ("another audience", with("aud", json!("netflix"))),
        ("an audience list without us", with("aud", json!(["a", "b"]))),
        ("no audience", without("aud")),
        ("no end", without("exp")),
        ("an end that is no number", with("exp", json!("soon"))),
        ("a negative end", with("exp", json!(-1))),
        ("an end beyond all time", with("exp", json!(1e300))),
        ("ended beyond the leeway", with("exp", json!(NOW_S - 5))),
        ("begins after the leeway", with("nbf", json!(NOW_S + 6))),
        ("a beginning that is no number", with("nbf", json!("now"))),
        ("no account", without("sub")),
        ("an empty account", with("sub", json!(""))),
        ("no profiles", without("profiles")),
        ("profiles that are no list", with("profiles", json!("ann"))),
        ("a profile that is no id", with("profiles", json!(["a\u{0}"]))),
        ("too many profiles", with("profiles", json!((0..65).map(|n| format!("p{n}")).collect::<Vec<_>>()))),
    ] {
        assert!(verifier.verify(NOW, &keys.signed(&claims)).is_err(), "{what}");
    }
    for (what, claims) in [
        ("an audience list with us", with("aud", json!(["a", "leftoff"]))),
        ("ended within the leeway", with("exp", json!(NOW_S - 4))),
        ("begins within the leeway", with("nbf", json!(NOW_S + 5))),
        ("an end with a fraction", with("exp", json!(NOW_S as f64 + 0.5))),
        ("no profile at all", with("profiles", json!([]))),
    ] {
        assert!(verifier.verify(NOW, &keys.signed(&claims)).is_ok(), "{what}");
    }
}

#[test]
fn a_token_without_a_signature_of_ours_is_refused() {
    let keys = Keys::new();
    let verifiers = keys.both();
    let good = keys.signed(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let forged = base64url(with("profiles", json!(["victim"])).to_string().as_bytes());
    let hmac = |secret: &[u8]| encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(secret)).unwrap();
    let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
    for (what, token) in [
        ("alg none", raw(&json!({"alg": "none", "typ": "JWT"}), &claims(), b"")),
        ("alg None", raw(&json!({"alg": "None"}), &claims(), b"")),
        ("alg absent", raw(&json!({"typ": "JWT"}), &claims(), b"x")),
        ("the signature left out", format!("{message}.")),
        ("two parts", message.to_owned()),
        ("other claims under the same signature", format!("{header}.{forged}.{signature}")),
        ("another key", sign(&keys.other, &Header::new(Algorithm::EdDSA), &claims())),
        ("a secret where none is configured", hmac(SECRET)),
        ("the public key as a secret, PEM", hmac(keys.ed.public_key_pem().as_bytes())),
        ("the public key as a secret, raw", hmac(keys.ed.public_key_raw())),
        ("ES256 in the header of an EdDSA token", raw(&json!({"alg": "ES256"}), &claims(), signature.as_bytes())),
        (
            "a key of its own in the header",
            raw(&json!({"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}), &claims(), b"x"),
        ),
        ("a kid that is a path", raw(&json!({"alg": "EdDSA", "kid": "../../dev/null"}), &claims(), b"")),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("garbage", "\u{1f600}.\u{0}.=".to_owned()),
        ("too long", long),
    ] {
        for (index, verifier) in verifiers.iter().enumerate() {
            assert!(verifier.verify(NOW, &token).is_err(), "{what}, {index}");
        }
    }
}

/// Whatever is written there, signed by a key: for what no library would write.
fn sign_text(pair: &KeyPair, header: &str, claims: &str) -> String {
    let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn what_a_header_says_of_keys_is_not_believed_and_what_is_said_twice_is_not_taken() {
    let keys = Keys::new();
    let (good, plain) = (claims().to_string(), r#"{"alg":"EdDSA"}"#);
    let own_key = |field: &str, value: Value| json!({"alg": "EdDSA", field: value}).to_string();
    let x = base64url(keys.other.public_key_raw());
    let twice = |field: &str, value: &str| format!("{}, \"{field}\": {value}}}", good.trim_end_matches('}'));
    for (what, pair, header, claims) in [
        ("a key in the header", &keys.other, own_key("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": x})), good.clone()),
        ("an address of keys", &keys.other, own_key("jku", json!("https://evil.example/keys.json")), good.clone()),
        ("an address of a certificate", &keys.other, own_key("x5u", json!("https://evil.example/cert.pem")), good.clone()),
        ("a certificate in the header", &keys.other, own_key("x5c", json!([x])), good.clone()),
        ("the kid of another key", &keys.other, own_key("kid", json!("ed")), good.clone()),
        ("a kid that is no text", &keys.ed, own_key("kid", json!(7)), good.clone()),
        ("an extension that must be known", &keys.ed, own_key("crit", json!(["exp"])), good.clone()),
        ("an algorithm said twice", &keys.ed, r#"{"alg":"none","alg":"EdDSA"}"#.to_owned(), good.clone()),
        ("the algorithm of another key", &keys.ed, r#"{"alg":"ES256"}"#.to_owned(), good.clone()),
        ("an algorithm of the family, not taken", &keys.ed, r#"{"alg":"RS256"}"#.to_owned(), good.clone()),
        ("profiles said twice", &keys.ed, plain.to_owned(), twice("profiles", r#"["victim"]"#)),
        ("an end said twice", &keys.ed, plain.to_owned(), twice("exp", "99999999999")),
        ("an audience said twice", &keys.ed, plain.to_owned(), twice("aud", r#""leftoff""#)),
        ("a number that is none", &keys.ed, plain.to_owned(), good.replace(&(NOW_S + 60).to_string(), "NaN")),
        ("more behind the claims", &keys.ed, plain.to_owned(), format!("{good} {{}}")),
        ("claims that are a list", &keys.ed, plain.to_owned(), format!("[{good}]")),
        ("nesting without end", &keys.ed, plain.to_owned(), twice("x", &"[".repeat(3_000))),
    ] {
        let token = sign_text(pair, &header, &claims);
        for (index, verifier) in keys.both().iter().enumerate() {
            assert!(verifier.verify(NOW, &token).is_err(), "{what}, {index}");
        }
    }
    for (what, header) in [
        ("nothing odd", plain.to_owned()),
        ("its own kid", own_key("kid", json!("ed"))),
        ("a kid beside a key file", own_key("typ", json!("at+jwt"))),
    ] {
        let token = sign_text(&keys.ed, &header, &good);
        for (index, verifier) in keys.both().iter().enumerate() {
            assert!(verifier.verify(NOW, &token).is_ok(), "{what}, {index}");
        }
    }
    // Neither does what a token of ours says of other keys let it be taken for theirs, nor harm it.
    let token = sign_text(&keys.ed, &own_key("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": x})), &good);
    assert!(keys.both().iter().all(|verifier| verifier.verify(NOW, &token).is_ok()));
}

#[test]
fn an_end_and_a_beginning_count_to_the_millisecond() {
    let keys = Keys::new();
    let verifier = keys.verifier(false);
    let (ends, begins) = (keys.signed(&with("exp", json!(NOW_S))), keys.signed(&with("nbf", json!(NOW_S))));
    let leeway = i64::try_from(LEEWAY_MS).unwrap();
    assert!(verifier.verify(NOW.shifted(leeway - 1), &ends).is_ok());
    assert_eq!(verifier.verify(NOW.shifted(leeway), &ends), Err(TokenError::Expired));
    assert!(verifier.verify(NOW.shifted(-leeway), &begins).is_ok());
    assert_eq!(verifier.verify(NOW.shifted(-leeway - 1), &begins), Err(TokenError::NotYet));
}

#[test]
fn an_unknown_critical_extension_is_refused() {
    let keys = Keys::new();
    let mut header = Header::new(Algorithm::EdDSA);
    header.crit = Some(vec!["exp2".to_owned()]);
    assert!(keys.verifier(false).verify(NOW, &sign(&keys.ed, &header, &claims())).is_err());
}

#[test]
fn a_shared_secret_counts_only_where_it_is_configured() {
    let keys = Keys::new();
    let token = encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(SECRET)).unwrap();
    assert!(keys.verifier(true).verify(NOW, &token).is_ok());
    assert!(keys.verifier(false).verify(NOW, &token).is_err());
    assert!(KeySet::default().add_secret(b"short").is_err());
}

#[test]
fn a_remembered_token_still_expires_and_goes_with_its_key() {
    let keys = Keys::new();
    let verifier = keys.verifier(false);
    let token = keys.signed(&claims());
    assert!(verifier.verify(NOW, &token).is_ok());
    assert!(verifier.verify(NOW, &token).is_ok());
    assert_eq!(verifier.verify(NOW.shifted(65_000), &token), Err(TokenError::Expired));
    let mut set = KeySet::default();
    set.add_pem(keys.other.public_key_pem().as_bytes()).unwrap();
    verifier.replace_keys(set);
    assert!(verifier.verify(NOW, &token).is_err());
}

#[test]
fn a_key_set_holds_one_algorithm_a_key_and_its_kid_chooses() {
    let keys = Keys::new();
    let x = |pair: &KeyPair| base64url(pair.public_key_raw());
    let jwks = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "alg": "EdDSA", "x": x(&keys.ed)},
        {"kty": "OKP", "crv": "Ed25519", "kid": "b", "x": x(&keys.other)},
    ]});
    let mut set = KeySet::default();
    set.add_jwks(jwks.to_string().as_bytes()).unwrap();
    let verifier = TokenVerifier::new(set, LEEWAY_MS);
    let token = |pair: &KeyPair, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        sign(pair, &header, &claims())
    };
    assert!(verifier.verify(NOW, &token(&keys.ed, Some("a"))).is_ok());
    assert!(verifier.verify(NOW, &token(&keys.other, None)).is_ok());
    assert!(verifier.verify(NOW, &token(&keys.ed, Some("b"))).is_err());
    for bad in [
        json!({"keys": [{"kty": "oct", "k": base64url(SECRET)}]}),
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "RS256", "x": x(&keys.ed)}]}),
        json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}),
        json!({"keys": 7}),
    ] {
        assert!(KeySet::default().add_jwks(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_private_key_in_place_of_a_public_one_is_told() {
    let error = KeySet::default().add_pem(Keys::new().ed.serialize_pem().as_bytes()).unwrap_err();
    assert!(error.contains("private"), "{error}");
}

/// A key of 2,048 bits whose private half was thrown away after it had signed [`RSA_TOKEN`].
const RSA_KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsMPCmUkRtX62d62k6aWu\n\
oFUNp+QCHVPV9tixxYKcIJvsOhq4pFQMV2wvhgPYRAtaqAOnFvzDpZAdhwM+fD3/\n\
4rzrF+H0aMpRBx4gWyFUjAVL3Ojt/TMXKGuY5kF2a9ukzaeqAxb5bTcBjPcVKdTB\n\
SIE1Knm7Z6c3gFYUrvuEzvUlStU9Q+sec0rqgWthHYyQxVGWa2HWwAlbjiYFGNdC\n\
CJ5KwM5L4Y1AHtwEGlE0j7T1HeK3Q36tkvBzn5ABgk3BEu+3pNBR399lv/zd+XYj\n\
Skh3zYyQUgyhRzekKDJxWwRlBU8PsV0u4Rk5c/CjC0ZKK4xTiE5E9ZGJBesE+mEZ\n\
dwIDAQAB\n\
-----END PUBLIC KEY-----\n\n";
const RSA_TOKEN: [&str; 3] = [
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
    "eyJzdWIiOiJhY2MiLCJwcm9maWxlcyI6WyJhbm4iXSwiYXVkIjoibGVmdG9mZiIsImV4cCI6MTc5MDAwMDA2MH0",
    "H1cS-BP4nYhufmTq_nggkXI_mA4cm3YMIkcDLTaSMkhjqJWUgb4tXUa8dixq5bkoq_GCtMTY7ojmcepR395mRpVkqV_nPH_6NKnFnyZ7M0gqCf8MSfFnmsCe76kTRYSNK_rfqpIg0uGYzFdhaSN3j9v79U7l8Bs-SPsg3H0HydaUl9bNH5VparAAkcG0Fzfb9GZoSnt1oiaiuBijl0rBovNuGhffLt3FfVMpTkUqDNwVadNXqrsSrehRV1xEvdiPDgS2VetuNzNte8FL850iLZADG_Sg9RpngxtUmVzpQHfgBTE_FEN5pbdYrJdKOnn3AU3lsVkDnJ8sGjJwSYjXWA",
];
const RSA_KEY_TOO_SHORT: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDVn8qODC/GiRw4Vm12UfMryFDG\n\
/A90dRCIp/ratXZGjAS4pgCP5Tp8CYkQZ1Dp6rnr4yiYVrRsAD55qb0xcg50FPU8\n\
coZEI6go8gqJQpSYbMCB9u+Vo1coC1cyP3MjnAbhGu5ihpSHhJi8qc/WuX3l6dOE\n\
jet4SZrAS+9K9KH1/wIDAQAB\n\
-----END PUBLIC KEY-----\n\n";
const P384_KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEGQMAO42phxK2SMNClzI73FkuMRYmLvbv\n\
IYNsh4yGyFOz2bu/3uMrHX3SMxyX9aeIpmZtZf36i2bPD7Iqxq3YVEo7wF8LA9Xh\n\
+TdA/gon5d9PGaXS29yhrJ+jeffQPksB\n\
-----END PUBLIC KEY-----\n\n";

#[test]
fn a_token_signed_by_rsa_counts_under_its_key_and_its_key_is_no_secret() {
    let mut set = KeySet::default();
    set.add_pem(RSA_KEY.as_bytes()).unwrap();
    let verifier = TokenVerifier::new(set, LEEWAY_MS);
    assert!(verifier.verify(NOW, &RSA_TOKEN.join(".")).is_ok());
    let [header, _, signature] = RSA_TOKEN;
    let forged = base64url(with("profiles", json!(["victim"])).to_string().as_bytes());
    assert!(verifier.verify(NOW, &format!("{header}.{forged}.{signature}")).is_err());
    // The public key, known to all, as an HMAC secret: with and without the line end that a file has.
    for secret in [RSA_KEY, RSA_KEY.trim_end()] {
        let token = encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        assert!(verifier.verify(NOW, &token).is_err());
    }
}

#[test]
fn a_weak_or_foreign_key_is_not_taken() {
    for (key, told) in [
        (RSA_KEY_TOO_SHORT, "2048"),
        (P384_KEY, "P-256"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
    ] {
        let error = KeySet::default().add_pem(key.as_bytes()).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

/// Public keys of RSA with a modulus of so many bits, as PEM and in a key set. Nobody has their other halves.
fn rsa_keys(bits: usize) -> (String, Value) {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= modulus.len() * 8 - bits;
    let jwks = json!({"keys": [{"kty": "RSA", "n": base64url(&modulus), "e": "AQAB"}]});
    let long = |length: usize| [0x82, (length >> 8) as u8, length as u8];
    if modulus[0] & 0x80 != 0 {
        // Or it would be negative.
        modulus.insert(0, 0);
    }
    let integer = [&[0x02][..], &long(modulus.len()), &modulus, &[0x02, 0x03, 0x01, 0x00, 0x01]].concat();
    let der = [&[0x30][..], &long(integer.len()), &integer].concat();
    let mut text = base64url(&der).replace('-', "+").replace('_', "/");
    text.push_str(&"=".repeat((4 - text.len() % 4) % 4));
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    (format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n")), jwks)
}

#[test]
fn keys_of_rsa_have_as_many_bits_as_can_be_trusted_and_verified() {
    for (bits, fits) in [(1_936, false), (2_047, false), (2_048, true), (3_072, true), (4_096, true), (4_097, false), (8_192, false)] {
        let (pem, jwks) = rsa_keys(bits);
        let taken = [KeySet::default().add_pem(pem.as_bytes()), KeySet::default().add_jwks(jwks.to_string().as_bytes())];
        for taken in taken {
            assert_eq!(taken.is_ok(), fits, "{bits} bits: {taken:?}");
            assert!(fits || taken.unwrap_err().contains(&format!("2048 bits and at most 4096, not {bits}")));
        }
    }
}
