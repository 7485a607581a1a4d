//! The requests that the gateway answers, one a row.

use utoipa::openapi::path::{Operation as Described, OperationBuilder, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, HttpMethod, Ref, Required, ResponseBuilder};

const JSON: &str = "application/json";
/// JSON as browsers may send it across origins without asking first.
const TEXT: &str = "text/plain";

/// What an answer carries.
#[derive(Clone, Copy)]
enum Carries {
    Nothing,
    Json(&'static str),
    Media(&'static str),
    /// Events as they come, or this as JSON.
    Stream(&'static str),
}

/// A request, and what it is answered.
pub(super) struct Operation {
    pub(super) path: &'static str,
    method: HttpMethod,
    id: &'static str,
    summary: &'static str,
    /// In the query: name, type, what it says.
    query: &'static [(&'static str, Type, &'static str)],
    body: Option<&'static str>,
    /// One or an array of them.
    many: bool,
    body_needed: bool,
    answers: &'static [(&'static str, &'static str, Carries)],
    /// Beside those that every request may meet.
    problems: &'static [(&'static str, &'static str)],
    open: bool,
}

const BASE: Operation = Operation {
    path: "",
    method: HttpMethod::Get,
    id: "",
    summary: "",
    query: &[],
    body: None,
    many: false,
    body_needed: true,
    answers: &[],
    problems: &[],
    open: false,
};

const EVERYWHERE: [(&str, &str); 6] = [
    ("400", "The request cannot be understood"),
    ("401", "A valid token is needed"),
    ("403", "Not allowed: nothing is said of whether the profile exists"),
    ("429", "Too much; come back after Retry-After"),
    ("500", "A fault of the node"),
    ("503", "Not now; come back after Retry-After"),
];
const OF_BODIES: [(&str, &str); 3] =
    [("408", "The body came too slowly"), ("413", "The body is too large, or has too many events"), ("415", "Send JSON")];

const RETURN: &[(&str, Type, &str)] = &[("return", Type::String, "`progress`: answer each touched register too")];
const RECORDED: &[(&str, &str, Carries)] = &[("200", "The accepted ones are durable", Carries::Json("Recorded"))];

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    let recording = |path, id, summary, body, many| Operation {
        path,
        method: HttpMethod::Post,
        id,
        summary,
        query: RETURN,
        body: Some(body),
        many,
        answers: RECORDED,
        ..BASE
    };
    vec![
        recording("/v1/events", "record", "Record what players report, in batches", "Batch", false),
        recording("/v1/heartbeats", "heartbeats", "Heartbeats of a mobile platform, one or many", "Heartbeat", true),
        recording("/v1/positions", "positions", "Records of a show's episodes, one or many", "PositionRecord", true),
        recording("/api/progress/sync", "progressSync", "Updates of a learning platform, one or many", "ProgressSync", true),
        Operation {
            path: "/v1/profiles/{profile}",
            method: HttpMethod::Delete,
            id: "erase",
            summary: "Erase a profile, here and everywhere it reaches",
            answers: &[("202", "Erased here", Carries::Nothing)],
            ..BASE
        },
        Operation {
            path: "/v1/profiles/{profile}/changes",
            id: "changes",
            summary: "Follow a profile's changes, as an event stream or by long poll",
            query: &[
                ("wait", Type::Integer, "poll, and wait for at most so many seconds"),
                ("since", Type::String, "the cursor to go on from; as `Last-Event-ID`"),
            ],
            answers: &[("200", "Changes as they come, or those since the cursor", Carries::Stream("Changes"))],
            ..BASE
        },
        Operation {
            path: "/v1/profiles/{profile}/continue-watching",
            id: "continueWatching",
            summary: "What to continue with, most recent first",
            query: &[("limit", Type::Integer, "at most so many; 20, and at most 200")],
            answers: &[("200", "The row", Carries::Json("Row"))],
            ..BASE
        },
        Operation {
            path: "/v1/profiles/{profile}/presence",
            id: "presence",
            summary: "Which devices of a profile are there, and what they do",
            answers: &[("200", "The devices; none is an empty list", Carries::Json("Presence"))],
            ..BASE
        },
        Operation {
            path: "/v1/profiles/{profile}/titles",
            id: "history",
            summary: "The whole history by title, in pages",
            query: &[
                ("after", Type::String, "`next` of the page before"),
                ("limit", Type::Integer, "at most so many; 100, and at most 1000"),
            ],
            answers: &[("200", "A page", Carries::Json("HistoryPage"))],
            ..BASE
        },
        Operation {
            path: "/v1/profiles/{profile}/titles/{title}",
            id: "resume",
            summary: "Where to resume a title",
            query: &[("policy", Type::String, "`continue`, `furthest` or `last_activity`")],
            answers: &[
                ("200", "The register; nothing recorded is `started: false` and zeros", Carries::Json("Progress")),
                ("304", "Unchanged since the `ETag` in `If-None-Match`", Carries::Nothing),
            ],
            ..BASE
        },
        Operation {
            path: "/v1/profiles/{profile}/titles/{title}/hide",
            method: HttpMethod::Post,
            id: "hide",
            summary: "Remove a title from the row until it is watched again",
            answers: &[("204", "Hidden", Carries::Nothing)],
            problems: &[("409", "The profile is full")],
            ..BASE
        },
        Operation {
            path: "/v1/sessions",
            method: HttpMethod::Post,
            id: "startSession",
            summary: "Start a session, within the account's limit of streams",
            body: Some("NewSession"),
            answers: &[("201", "Started, and where to resume", Carries::Json("SessionStarted"))],
            problems: &[("409", "The id is another's")],
            ..BASE
        },
        Operation {
            path: "/v1/sessions/{session}",
            method: HttpMethod::Put,
            id: "renewSession",
            summary: "Renew a session",
            body: Some("SessionRenewal"),
            body_needed: false,
            answers: &[("200", "It goes on", Carries::Json("SessionRenewed"))],
            problems: &[("404", "There is no such session any more"), ("409", "The id is another's")],
            ..BASE
        },
        Operation {
            path: "/v1/sessions/{session}",
            method: HttpMethod::Delete,
            id: "endSession",
            summary: "End a session",
            answers: &[("204", "Ended", Carries::Nothing)],
            problems: &[("404", "There is no such session any more")],
            ..BASE
        },
        Operation {
            path: "/v1/parties",
            method: HttpMethod::Post,
            id: "createParty",
            summary: "Create a watch party",
            body: Some("NewParty"),
            answers: &[("201", "Created, with the invitation", Carries::Json("PartyAnswer"))],
            problems: &[("409", "The id is another's")],
            ..BASE
        },
        Operation {
            path: "/v1/parties/{party}",
            id: "lookAtParty",
            summary: "Look at a watch party",
            answers: &[("200", "The party", Carries::Json("PartyAnswer"))],
            problems: &[("409", "Not of this party")],
            ..BASE
        },
        Operation {
            path: "/v1/parties/{party}/control",
            method: HttpMethod::Post,
            id: "controlParty",
            summary: "Say where everybody is to be",
            body: Some("PartyCommand"),
            answers: &[("200", "The party", Carries::Json("PartyAnswer"))],
            problems: &[("409", "Not joined")],
            ..BASE
        },
        Operation {
            path: "/v1/parties/{party}/members",
            method: HttpMethod::Post,
            id: "joinParty",
            summary: "Join a watch party; again before the lease ends, to stay",
            body: Some("NewMember"),
            answers: &[("200", "The party", Carries::Json("PartyAnswer"))],
            problems: &[("409", "Not joined")],
            ..BASE
        },
        Operation {
            path: "/v1/parties/{party}/members",
            method: HttpMethod::Delete,
            id: "leaveParty",
            summary: "Leave a watch party",
            query: &[("profile_id", Type::String, "who leaves"), ("device_id", Type::String, "on which device")],
            answers: &[("204", "Left", Carries::Nothing)],
            problems: &[("409", "Not joined")],
            ..BASE
        },
        Operation {
            path: "/v1/ws",
            id: "socket",
            summary: "Reports and pushes over a WebSocket, subprotocol leftoff.v1",
            answers: &[("101", "The protocol of docs/http.md from here on", Carries::Nothing)],
            problems: &[("426", "Ask for a WebSocket")],
            ..BASE
        },
        Operation {
            path: "/v1/openapi.json",
            id: "describe",
            summary: "This document",
            answers: &[("200", "OpenAPI 3.1", Carries::Media(JSON))],
            open: true,
            ..BASE
        },
    ]
}

fn schema_ref(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

impl Operation {
    /// The row as OpenAPI has it.
    pub(super) fn item(self) -> PathItem {
        PathItem::new(self.method.clone(), self.described())
    }

    fn described(&self) -> Described {
        let mut operation = OperationBuilder::new().operation_id(Some(self.id)).summary(Some(self.summary));
        for name in self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(128)).build();
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True).schema(Some(text));
            operation = operation.parameter(parameter.build());
        }
        for (name, kind, says) in self.query {
            let schema = ObjectBuilder::new().schema_type(kind.clone()).build();
            // Who leaves must be said; everything else may be left out.
            let required = if self.id == "leaveParty" { Required::True } else { Required::False };
            let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query).required(required);
            operation = operation.parameter(parameter.description(Some(*says)).schema(Some(schema)).build());
        }
        if let Some(name) = self.body {
            let content = || {
                let schema: utoipa::openapi::RefOr<utoipa::openapi::Schema> = if self.many {
                    let one_or_many = utoipa::openapi::schema::OneOfBuilder::new()
                        .item(schema_ref(name))
                        .item(utoipa::openapi::schema::ArrayBuilder::new().items(schema_ref(name)).max_items(Some(1_000)));
                    utoipa::openapi::Schema::from(one_or_many.build()).into()
                } else {
                    schema_ref(name).into()
                };
                ContentBuilder::new().schema(Some(schema)).build()
            };
            let required = if self.body_needed { Required::True } else { Required::False };
            let body = RequestBodyBuilder::new().content(JSON, content()).content(TEXT, content()).required(Some(required));
            operation = operation.request_body(Some(body.build()));
        }
        for (status, says, carries) in self.answers {
            let mut response = ResponseBuilder::new().description(*says);
            response = match carries {
                Carries::Nothing => response,
                Carries::Json(name) => response.content(JSON, ContentBuilder::new().schema(Some(schema_ref(name))).build()),
                Carries::Stream(name) => {
                    let text = ObjectBuilder::new().schema_type(Type::String).build();
                    let stream = ContentBuilder::new().schema(Some(text)).build();
                    let json = ContentBuilder::new().schema(Some(schema_ref(name))).build();
                    response.content("text/event-stream", stream).content(JSON, json)
                }
                Carries::Media(media) => response.content(*media, ContentBuilder::new().build()),
            };
            operation = operation.response(*status, response.build());
        }
        let bodies = if self.body.is_some() { &OF_BODIES[..] } else { &[] };
        let everywhere = if self.open { &[][..] } else { &EVERYWHERE[..] };
        for (status, says) in everywhere.iter().chain(bodies).chain(self.problems) {
            let problem = ContentBuilder::new().schema(Some(schema_ref("Problem"))).build();
            let response = ResponseBuilder::new().description(*says).content("application/problem+json", problem);
            operation = operation.response(*status, response.build());
        }
        if self.open {
            operation = operation.securities(Some(Vec::new()));
        }
        operation.build()
    }
}
