//! `GET /v1/openapi.json`: the description of what the gateway answers (OpenAPI 3.1), made from the types that it answers with.
//!
//! The requests are listed in `operations`, the schemas are derived where the types are. `docs/openapi.json` is the same document, compared by
//! a test; `LEFTOFF_WRITE_OPENAPI=1 cargo test --lib openapi` writes it anew.

mod operations;
pub(super) mod words;

use std::sync::OnceLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder};

use super::problem::Problem;
use super::{batch, body, dialects, events, history, parties, presence, problem, progress, row, sessions};

const TOKEN: &str = "token";

/// The document as it is served.
pub(super) async fn describe() -> Result<Response, Problem> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_pretty_json().ok()).as_deref().ok_or(Problem::Internal)?;
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text).into_response())
}

/// Adds a type, and the types that it is made of.
fn with<T: ToSchema>(schemas: ComponentsBuilder) -> ComponentsBuilder {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    schemas.schemas_from_iter(parts).schema_from::<T>()
}

/// The document.
fn document() -> OpenApi {
    let mut schemas = ComponentsBuilder::new();
    schemas = with::<body::Whole>(schemas);
    schemas = with::<batch::RefusedEvent>(schemas);
    schemas = with::<words::Changes>(schemas);
    schemas = with::<dialects::Heartbeat>(schemas);
    schemas = with::<dialects::PositionRecord>(schemas);
    schemas = with::<dialects::ProgressSync>(schemas);
    schemas = with::<events::Answer>(schemas);
    schemas = with::<history::Page>(schemas);
    schemas = with::<parties::Answer>(schemas);
    schemas = with::<parties::AskedCommand>(schemas);
    schemas = with::<parties::AskedMember>(schemas);
    schemas = with::<parties::AskedParty>(schemas);
    schemas = with::<presence::Presence>(schemas);
    schemas = with::<problem::Document<'_>>(schemas);
    schemas = with::<progress::ProgressBody>(schemas);
    schemas = with::<row::Row>(schemas);
    schemas = with::<sessions::Asked>(schemas);
    schemas = with::<sessions::Renewal>(schemas);
    schemas = with::<sessions::Renewed>(schemas);
    schemas = with::<sessions::Started>(schemas);
    let components = schemas.security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer))).build();
    let mut paths = PathsBuilder::new();
    for operation in operations::all() {
        paths = paths.path(operation.path, operation.item());
    }
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("leftoff")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("Where people left off: record what players report, and read where to resume."))
                .build(),
        )
        .paths(paths.build())
        .components(Some(components))
        .security(Some([SecurityRequirement::new(TOKEN, Vec::<String>::new())]))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    #[test]
    fn the_document_in_the_repository_is_the_one_that_is_served() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
        let made = format!("{}\n", document().to_pretty_json().unwrap());
        if std::env::var_os("LEFTOFF_WRITE_OPENAPI").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(
            kept == made,
            "docs/openapi.json is not what the code says; LEFTOFF_WRITE_OPENAPI=1 cargo test --lib openapi writes it anew"
        );
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let mut routed = BTreeSet::new();
        for line in include_str!("../mod.rs").lines().filter_map(|line| line.trim().strip_prefix(".route(")) {
            let (path, methods) = line.split_once(", ").unwrap();
            let path = match path {
                "CHANGES_PATH" => super::super::CHANGES_PATH,
                "SOCKET_PATH" => super::super::SOCKET_PATH,
                quoted => quoted.trim_matches('"'),
            };
            for method in ["get", "post", "put", "delete", "any"] {
                if methods.contains(&format!("{method}(")) {
                    routed.insert(format!("{} {path}", if method == "any" { "get" } else { method }));
                }
            }
        }
        let document = json();
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
            .collect();
        assert!(routed.len() > 15, "{routed:?}");
        assert_eq!(routed, described);
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = json();
        assert_eq!(document["openapi"], "3.1.0");
        let text = document.to_string();
        for (index, _) in text.match_indices("#/components/schemas/") {
            let name: String = text[index + 21..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(document["components"]["schemas"][&name].is_object(), "{name}");
        }
    }
}
