//! `leftoff token`: keys for tokens, and tokens. For platforms that have no issuer of their own yet, and for trying things out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::daemon::certificates::write_new;
use crate::gateway::auth::AUDIENCE;
use crate::limits::PROFILES_PER_TOKEN_COUNT_MAX;
use crate::progress::ProfileId;
use crate::time::system::wall_now;

const PRIVATE_FILE: &str = "tokens.key.pem";
const PUBLIC_FILE: &str = "tokens.pub.pem";

/// Make keys for tokens, and sign tokens
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make an Ed25519 key pair
    Keys {
        /// The folder to keep it in
        #[arg(long, value_name = "DIR", default_value = "keys")]
        dir: PathBuf,
    },
    /// Sign a token
    Sign {
        /// The account it is for
        account: String,
        /// A profile it holds; may be given several times
        #[arg(long = "profile", value_name = "ID", required = true, value_parser = profile)]
        profiles: Vec<ProfileId>,
        /// The private key
        #[arg(long, value_name = "FILE", default_value = "keys/tokens.key.pem")]
        key: PathBuf,
        /// How long it counts, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
        ttl: u64,
        /// Only this and not everything; may be given several times
        #[arg(long = "scope", value_parser = ["read", "write"])]
        scopes: Vec<String>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Keys { dir } => make_keys(dir)?,
        What::Sign { account, profiles, key, ttl, scopes } => {
            if profiles.len() > PROFILES_PER_TOKEN_COUNT_MAX {
                return Err(Failure::new(format!("{} profiles, a token holds at most {PROFILES_PER_TOKEN_COUNT_MAX}", profiles.len())));
            }
            let now_s = wall_now().as_millis() / 1_000;
            let mut claims = json!({"sub": account, "profiles": profiles, "aud": AUDIENCE, "iat": now_s, "exp": now_s + ttl});
            if !scopes.is_empty() {
                claims["scope"] = json!(scopes.join(" "));
            }
            let pem =
                std::fs::read(key).map_err(|error| Failure::of(format!("{} ('leftoff token keys' makes one)", key.display()), &error))?;
            let signing =
                EncodingKey::from_ed_pem(&pem).map_err(|error| Failure::of(format!("{} is no Ed25519 key", key.display()), &error))?;
            let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &signing)
                .map_err(|error| Failure::of("the token was not signed", &error))?;
            output::line(token)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn make_keys(dir: &Path) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of("the keys were not made", error);
    std::fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| failed(&error))?;
    let (private, public) = (dir.join(PRIVATE_FILE), dir.join(PUBLIC_FILE));
    write_new(&private, pair.serialize_pem().as_bytes(), true).map_err(|error| failed(&error))?;
    write_new(&public, pair.public_key_pem().as_bytes(), false).map_err(|error| failed(&error))?;
    output::line(format!("{}  for every node (auth.key_files)", public.display()))?;
    output::line(format!("{}  signs tokens; keep it secret", private.display()))
}

fn profile(text: &str) -> Result<ProfileId, String> {
    ProfileId::new(text).map_err(|error| error.to_string())
}
