//! The report: one page that stands alone, is well-formed whatever is in the outcome, and shows what was run, what it came to and how to repeat it.

use leftoff_simulations::outcome::{CheckerOutcome, Outcome, Verdict};
use leftoff_simulations::report::page;
use leftoff_simulations::summary;

use crate::example::{example, scenario};

const CHECKED: [(&str, &str); 2] = [("nothing-lost", "what was acknowledged is somewhere"), ("nothing", "looks for nothing")];

fn pages() -> Vec<String> {
    let empty = Outcome::default();
    let mut bad = example();
    bad.settled = false;
    bad.violations = vec!["nothing-lost at 3.2s: <script>alert(1)</script> & \"quoted\" \u{1b}[31m".into(); 700];
    [example(), empty, bad].iter().map(|outcome| page(&scenario(), outcome, &CHECKED, "leftoff-sim run region-cut --seed 7")).collect()
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    for page in pages() {
        for word in ["http:", "https:", "url(", "@import", "<script", "src=", "href=", "<link", "<iframe", "<img", "onload", "//"] {
            assert!(!page.contains(word), "{word:?} is in the page");
        }
    }
}

/// The elements of a page must close in the order in which they were opened.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("it opens with its type");
    while let Some(begin) = rest.find('<') {
        let end = begin + rest[begin..].find('>').expect("every tag ends");
        let tag = &rest[begin + 1..end];
        assert!(!tag.contains('<'), "a tag within a tag: {tag:?}");
        assert_eq!(tag.matches('"').count() % 2, 0, "an attribute does not end: {tag:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes what is not open, after …{}", &rest[begin.saturating_sub(80)..begin]);
        } else if !tag.ends_with('/') {
            let name = tag.split(' ').next().unwrap();
            if name != "meta" {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
        if open.last() == Some(&"style") {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_well_formed_whatever_happened() {
    for page in pages() {
        assert_well_formed(&page);
        assert!(!page.contains("NaN") && !page.contains("inf\""), "every place on the page is a number");
    }
}

#[test]
fn the_page_says_what_was_run_what_it_came_to_and_how_to_repeat_it() {
    let [held, empty, bad] = &pages()[..] else { panic!() };
    for part in [
        "region-cut",
        "seed",
        "0123456789ab",
        "leftoff-sim run region-cut --seed 7",
        "cut of eu-central-1",
        "1. Faults and divergence",
        "eu-central-1 → us-east-1",
        "lost by design",
        "Held: 2 checkers found nothing",
    ] {
        assert!(held.contains(part), "{part} is missing");
    }
    assert!(empty.contains("Violated: settling"), "what did not settle did not hold");
    assert!(bad.contains("Violated: nothing-lost, settling") && bad.contains("… and 200 more"));
    assert!(bad.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot; ·[31m"));
    assert!(bad.contains("violated 700 times"));
    let mut many = example();
    many.violations = vec!["nothing-lost at 3.2s: gone".into(); 16];
    many.violations_count = 1_234;
    let checker = |name: &str, verdict, found| CheckerOutcome { name: name.into(), verdict, found };
    many.checkers = vec![checker("nothing-lost", Verdict::Violated, 1_234), checker("nothing", Verdict::NothingToCheck, 0)];
    let page = page(&scenario(), &many, &CHECKED, "again");
    assert!(page.contains("violated 1,234 times") && page.contains("… and 1,218 more: 1,234 were found, 16 are kept"));
    assert!(page.contains("nothing to check"), "who had nothing to check has not held");
    for text in ["<caption>", "scope=\"col\"", "aria-label=", "lang=\"en\"", "prefers-color-scheme: dark", "@media print"] {
        assert!(held.contains(text), "{text} is missing");
    }
}

#[test]
fn the_same_outcome_gives_the_same_page() {
    assert_eq!(pages(), pages());
}

#[test]
fn the_summary_begins_with_what_was_run_and_ends_with_whether_it_held() {
    let heading = summary::heading(&scenario(), 7, "0123456789ab");
    assert!(heading.starts_with("region-cut, seed 7, commit 0123456789ab\n"), "{heading}");
    assert!(heading.contains("at 3min for 8min: cut of eu-central-1"), "{heading}");
    let text = summary::summary(&example(), &CHECKED[..1]);
    for part in [
        "updates coalesced",
        "lost by design",
        "eu-central-1 → us-east-1",
        "bytes on all links",
        "per update",
        "too-many-titles 3",
        "ring of changes",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(text.trim_end().ends_with("held: 1 checkers found nothing, and all replicas are equal (nothing-lost)"), "{text}");
    let mut bad = example();
    bad.violations = (0..30).map(|index| format!("nothing-lost at {index}s: gone")).collect();
    let text = summary::summary(&bad, &CHECKED[..1]);
    assert!(text.contains("VIOLATED: nothing-lost at 9s: gone\n… and 20 more: 30 were found, 30 are kept\n"), "{text}");
    bad.violations_count = 5_000;
    let text = summary::summary(&bad, &CHECKED[..1]);
    assert!(text.contains("\n… and 4,990 more: 5,000 were found, 30 are kept\n"), "{text}");
    assert_eq!(bad.failed_checkers().into_iter().collect::<Vec<_>>(), ["nothing-lost"]);
}

#[test]
fn who_had_nothing_to_check_is_not_among_those_who_held() {
    let mut outcome = example();
    let checker = |name: &str, verdict| CheckerOutcome { name: name.into(), verdict, found: 0 };
    outcome.checkers = vec![checker("nothing-lost", Verdict::Held), checker("nothing", Verdict::NothingToCheck)];
    let text = summary::summary(&outcome, &CHECKED);
    let expected = "held: 1 checkers found nothing, and all replicas are equal (nothing-lost)\nnothing to check: nothing\n";
    assert!(text.ends_with(expected), "{text}");
    let page = page(&scenario(), &outcome, &CHECKED, "again");
    assert!(page.contains("Held: 1 checkers found nothing, all replicas ended equal; 1 had nothing to check"));
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!((&json["checkers"][0]["verdict"], &json["checkers"][1]["verdict"]), (&"held".into(), &"nothing to check".into()));
}

#[test]
fn the_json_has_times_in_seconds_and_says_so() {
    let json = serde_json::to_value(example()).unwrap();
    assert_eq!(json["virtual_time_s"], 1_000.5);
    assert_eq!(json["faults"][0]["at_s"], 180.0);
    assert_eq!(json["faults"][0]["converged_s"], 1.25);
    assert_eq!(json["divergence"][1]["registers_unequal"], 1);
    assert_eq!(json["bytes_over_time"][0]["at_s"], 10.0);
    assert_eq!(json["propagation"][0]["p99_ms"], 61.0);
    assert!(json["where_time_goes_s"]["store"].is_f64());
}
