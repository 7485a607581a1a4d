//! The configuration's own tests: bounds, unknown keys, the environment, and the example in the repository.

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(text: &str, dev: bool, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::from_sources(Some(file(text).path()), dev, environment.collect::<Vec<_>>())
}

fn problems(text: &str, dev: bool) -> Vec<String> {
    match load(text, dev, &[]) {
        Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_in_the_repository_is_sound_and_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("leftoff.example.toml");
    let config = Config::from_sources(Some(&path), false, []).unwrap();
    assert_eq!(config.gateway_listen.port(), 7400);
    assert_eq!(config.quic_listen.port(), 7401);
    assert_eq!(config.admin_listen, "127.0.0.1:7402".parse().unwrap());
    let bare = Config::from_sources(None, true, []).unwrap();
    assert_eq!((config.gateway, config.listener), (bare.gateway, bare.listener), "the example's bounds are the defaults");
    assert_eq!(format!("{:?}", config.store), format!("{:?}", bare.store));
    assert_eq!(config.drain_timeout, bare.drain_timeout);
    assert_eq!(config.token_leeway_ms, bare.token_leeway_ms);
}

#[test]
fn development_needs_no_file_and_stays_on_loopback() {
    let config = Config::from_sources(None, true, []).unwrap();
    assert!(config.gateway_listen.ip().is_loopback() && config.quic_listen.ip().is_loopback());
    assert_eq!(config.data_dir, Path::new("./leftoff-data"));
    assert!(config.tls.is_none() && config.keys.is_none());
    let told = problems("[gateway]\nlisten = '0.0.0.0:7400'", true);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("gateway.listen = 0.0.0.0:7400: with --dev tokens are off"), "{told:?}");
}

#[test]
fn a_node_without_certificates_secret_or_keys_does_not_start() {
    let told = problems("", false).join("\n");
    for key in ["node.name", "tls.ca_file", "tls.cert_file", "tls.key_file", "cluster.secret_file", "auth = "] {
        assert!(told.contains(key), "{key} in {told}");
    }
}

#[test]
fn every_value_out_of_its_bounds_is_reported_at_once() {
    let told = problems(
        "[node]\nname = 'Eu_1'\n[gateway]\nrequests_max = -1\ncert_file = 'a.pem'\norigins = ['https://*.example.net']\nlisten = 'here'\nrequest_timeout_ms = 1\n[cluster]\nseeds = ['a:1', 'b']\nack = 'maybe'\nttl_days = 0\n[store]\ntable_mib = 20",
        true,
    );
    for start in [
        "node.name = Eu_1: must be",
        "gateway.requests_max = -1: must be 1 to 100000",
        "gateway.listen = here: must be",
        "gateway.key_file = (nothing): must be set",
        "gateway.origins = https://*.example.net: 'https://*.example.net' is not an origin",
        "gateway.request_timeout_ms = 1: must be 100 to 600000",
        "cluster.seeds = b: must be",
        "cluster.ack = maybe: must be one of local, replicated",
        "cluster.ttl_days = 0: must be 1 to 36500",
        "store.fold_table_mib = 192: must be below store.table_mib (20)",
    ] {
        assert!(told.iter().any(|problem| problem.starts_with(start)), "{start} in {told:#?}");
    }
    assert_eq!(told.len(), 10, "{told:#?}");
}

#[test]
fn an_unknown_key_is_named() {
    for (text, key) in
        [("[gateway]\nlisen = '127.0.0.1:1'", "lisen"), ("[gatway]\nlisten = '127.0.0.1:1'", "gatway"), ("tokens = 'off'", "tokens")]
    {
        let error = load(text, true, &[]).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let error = load("", true, &[("LEFTOFF_GATEWAY__LISEN", "127.0.0.1:1")]).unwrap_err().to_string();
    assert!(error.contains("lisen"), "{error}");
}

#[test]
fn the_environment_goes_over_the_file() {
    let environment = [
        ("LEFTOFF_GATEWAY__LISTEN", "127.0.0.1:9"),
        ("LEFTOFF_GATEWAY__REQUESTS_MAX", "7"),
        ("LEFTOFF_CLUSTER__SEEDS", "a.example:1, 10.0.0.1:2"),
        ("LEFTOFF_NODE__NAME", "42"),
        ("LEFTOFF_TOKEN", "not a key of the configuration"),
        ("PATH", "/bin"),
    ];
    let config = load("[gateway]\nlisten = '127.0.0.1:8'\nrequests_max = 8\nrequest_timeout_ms = 500", true, &environment).unwrap();
    assert_eq!(config.gateway_listen.port(), 9);
    assert_eq!(config.gateway.requests_count_max, 7);
    assert_eq!(config.gateway.request_timeout, Duration::from_millis(500));
    assert_eq!(config.seeds, ["a.example:1", "10.0.0.1:2"]);
    assert_eq!(config.name, "42");
}

#[test]
fn what_is_no_toml_or_no_file_is_an_error() {
    assert!(matches!(load("[node\nname", true, &[]), Err(ConfigError::Read(_))));
    assert!(matches!(load("[node]\nname = 'a'\nname = 'b'", true, &[]), Err(ConfigError::Read(_))));
    let error = Config::from_sources(Some(Path::new("/nowhere/leftoff.toml")), true, []).unwrap_err().to_string();
    assert!(error.contains("/nowhere/leftoff.toml"), "{error}");
}

/// Every key as `section.key`, from the source that declares them.
fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    for section in include_str!("raw.rs").split("section!(").skip(1) {
        let Some((name, fields)) = section.split_once('{').filter(|(name, _)| name.contains("Raw")) else { continue };
        let name = name.split_whitespace().find_map(|word| word.strip_prefix("Raw")).unwrap().to_lowercase();
        let fields = fields.split('}').next().unwrap();
        keys.extend(fields.split(',').filter_map(|field| field.split_once(':')).map(|(field, _)| format!("{name}.{}", field.trim())));
    }
    keys
}

#[test]
fn every_key_is_documented_and_stands_in_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented = std::fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let example = std::fs::read_to_string(root.join("leftoff.example.toml")).unwrap();
    let keys = keys();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(documented.contains(&format!("`{key}`")), "{key} is not in docs/configuration.md");
        let (_, name) = key.split_once('.').unwrap();
        let line = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name} = "));
        assert!(example.lines().any(line), "{key} is not in leftoff.example.toml");
    }
}
