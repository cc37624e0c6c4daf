//! How every screen looks: to axe-core, and in pictures.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::{Browser, speaking};
use crate::find;
use crate::screens::tour;

/// A telephone and a desktop.
const SIZES: [(u32, u32); 2] = [(360, 740), (1280, 900)];

async fn size(b: &Browser, width: u32, height: u32) {
    let metrics =
        json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
    b.command("Emulation.setDeviceMetricsOverride", metrics).await;
}

async fn scheme(b: &Browser, scheme: &str) {
    let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
    b.command("Emulation.setEmulatedMedia", json!({"features": features})).await;
}

/// The script of axe-core, if it is installed.
fn axe() -> Option<String> {
    let installed = find::servers().join("axe/node_modules/axe-core/axe.min.js");
    let path = std::env::var_os("COUNTERSIGN_TEST_AXE").map_or(installed, Into::into);
    let script = std::fs::read_to_string(path).ok();
    if script.is_none() {
        find::skip("axe-core");
    }
    script
}

/// What axe-core objects to on the page that is shown, by any of its rules.
async fn objections(b: &Browser, axe: &str) -> Vec<Value> {
    if b.script("return typeof axe").await == "undefined" {
        b.script(&format!("{axe}; window.axe = axe;")).await;
    }
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'] }).then((found) => done({
            passes: found.passes.length,
            objections: found.violations.flatMap((rule) => rule.nodes.map((node) =>
                ({ rule: rule.id, node: node.html, why: node.failureSummary })))
        }), (error) => done({ error: String(error) }))";
    let found = b.client.execute_async(run, Vec::new()).await.unwrap();
    assert!(found["passes"].as_u64() > Some(5), "{found}");
    found["objections"].as_array().unwrap().clone()
}

/// Every screen, on a telephone and a desktop, light and dark.
async fn inspect(language: &'static str) {
    let Some(axe) = axe() else { return };
    let test = speaking(language).demo(&["--spacing", "10"]).run(async |b| {
        let mut objected = Vec::new();
        tour(&b, language, async |b, name| {
            for (width, height) in SIZES {
                size(b, width, height).await;
                let wide = b.script("return document.documentElement.scrollWidth").await;
                if wide.as_u64() > Some(width.into()) {
                    objected.push(format!("{name} is {wide} wide on {width}"));
                }
                for colours in ["light", "dark"] {
                    scheme(b, colours).await;
                    for objection in objections(b, &axe).await {
                        objected.push(format!("{name} {width} {colours}: {objection:#}"));
                    }
                }
            }
        })
        .await;
        assert!(objected.is_empty(), "{}", objected.join("\n"));
    });
    test.await;
}

#[tokio::test]
async fn axe_objects_to_no_screen_in_english() {
    inspect("en").await;
}

#[tokio::test]
async fn axe_objects_to_no_screen_in_japanese() {
    inspect("ja").await;
}

/// Control: of a page without a label, without a language and with pale text each is found.
#[tokio::test]
async fn axe_objects_to_what_is_wrong() {
    let Some(axe) = axe() else { return };
    let test = speaking("en").run(async |b| {
        b.open("/auth/sign-in").await;
        assert_eq!(objections(&b, &axe).await, Vec::<Value>::new());
        b.script(
            "document.documentElement.removeAttribute('lang');
             document.querySelector('label[for=name]').remove();
             document.querySelector('label[for=password]').style.color = '#bbb';",
        )
        .await;
        let found = objections(&b, &axe).await;
        let mut rules: Vec<_> = found.iter().filter_map(|found| found["rule"].as_str()).collect();
        rules.sort_unstable();
        assert_eq!(rules, ["color-contrast", "html-has-lang", "label"]);
        // What is emulated is what the page sees.
        for (colours, background) in [("light", "244, 246, 249"), ("dark", "20, 23, 28")] {
            scheme(&b, colours).await;
            let shown = b.find("body").await.css_value("background-color").await.unwrap();
            assert!(shown.contains(background), "{shown}");
        }
    });
    test.await;
}

/// As high as the page is.
async fn picture(b: &Browser, file: &Path) {
    size(b, 900, 300).await;
    let high = b.script("return document.documentElement.scrollHeight").await;
    size(b, 900, u32::try_from(high.as_u64().unwrap()).unwrap()).await;
    std::fs::write(file, b.client.screenshot().await.unwrap()).unwrap();
}

/// For `scripts/screenshots`, into the directory in `COUNTERSIGN_SCREENS`.
#[tokio::test]
#[ignore = "it checks nothing: scripts/screenshots runs it"]
async fn take_pictures() {
    let directory = std::env::var_os("COUNTERSIGN_SCREENS").expect("a directory");
    let directory = Path::new(&directory);
    for language in ["en", "ja"] {
        let test = speaking(language).demo(&["--spacing", "10"]).run(async |b| {
            tour(&b, language, async |b, name| {
                for colours in ["dark", "light"] {
                    scheme(b, colours).await;
                    picture(b, &directory.join(format!("{name}.{language}.{colours}.png"))).await;
                }
            })
            .await;
        });
        test.await;
    }
}
