//! A person at a browser.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::demo::{ACME, Demo, GLOBEX, Message, PASSWORD, ask};
use crate::find;
use crate::process::Process;

/// How long anything may take. The machine may be very busy.
const LONGEST: Duration = Duration::from_secs(120);

/// Most of a test is waiting, so more than the processors of a small machine.
static BROWSERS: Semaphore = Semaphore::const_new(4);

/// What a test needs: the demo, and a browser that is set up in some way.
pub struct Setup {
    language: &'static str,
    scripts: bool,
    demo: Vec<&'static str>,
}

/// A browser in some language, with scripts, and the demo.
pub const fn speaking(language: &'static str) -> Setup {
    Setup { language, scripts: true, demo: Vec::new() }
}

/// Runs a test in both tenants, in one in English and in the other in Japanese.
pub async fn everywhere(options: &[&'static str], test: impl AsyncFn(&Browser)) {
    let test = &test;
    let worlds = [("en", ACME), ("ja", GLOBEX)].map(|(language, host)| {
        speaking(language).demo(options).run(async move |mut b: Browser| {
            b.host = host;
            test(&b).await;
        })
    });
    let [english, japanese] = worlds;
    tokio::join!(english, japanese);
}

/// The directory of a browser's files.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        // What the browser leaves behind to report crashes may end a moment later.
        let start = Instant::now();
        while self.0.exists() && start.elapsed() < LONGEST {
            let _ = std::fs::remove_dir_all(&self.0);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Setup {
    pub fn without_scripts(mut self) -> Self {
        self.scripts = false;
        self
    }

    pub fn demo(mut self, options: &[&'static str]) -> Self {
        self.demo.extend(options);
        self
    }

    /// Runs a test, if there is a browser on this machine.
    pub async fn run(self, test: impl AsyncFnOnce(Browser)) {
        let found = (
            find::program(
                "COUNTERSIGN_TEST_CHROMIUM",
                "chromium",
                "/usr/bin/chromium",
                &["--version"],
            ),
            find::program("COUNTERSIGN_TEST_DRIVER", "driver", "chromedriver", &["--version"]),
        );
        let (Some(chromium), Some(driver)) = found else {
            return find::skip("the browser: Debian's packages chromium and chromium-driver");
        };
        let _turn = BROWSERS.acquire().await.unwrap();
        let demo = Demo::start(&self.demo);
        // A home of its own, so that it leaves nothing behind.
        let home = Home(tempfile::tempdir().unwrap().keep());
        let mut command = Command::new(driver);
        command.arg("--port=0").env("HOME", &home.0).env_remove("XDG_CONFIG_HOME");
        // It takes a port of IPv6 that is free, and ends if that one is taken in IPv4: by any other
        // program, so that it says nothing about the test.
        let mut starts = (0..50).filter_map(|_| {
            Process::try_start(&mut command, |line| {
                let port = line.split_once("successfully on port ")?.1;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
        });
        let (_driver, port) = starts.next().expect("the driver starts");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // It ends when its driver does.
            "--remote-debugging-pipe",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", home.0.join("profile").display()),
            &format!("--lang={}", self.language),
        ];
        let mut preferences = json!({"intl.accept_languages": self.language});
        if !self.scripts {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let options = json!({"binary": chromium, "args": arguments, "prefs": preferences});
        let capabilities = json!({"browserName": "chrome", "goog:chromeOptions": options});
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(serde_json::from_value(capabilities).unwrap())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let language = self.language;
        let browser = Browser { client: client.clone(), driver: port, demo, host: ACME, language };
        tokio::time::timeout(5 * LONGEST, test(browser)).await.expect("the test ends");
        client.close().await.unwrap();
    }
}

/// A browser with the demo. Paths are those of the tenant whose turn it is.
pub struct Browser {
    pub client: Client,
    driver: u16,
    pub demo: Demo,
    pub host: &'static str,
    language: &'static str,
}

impl Browser {
    /// What is said in the language of the browser.
    pub fn say<T>(&self, english: T, japanese: T) -> T {
        if self.language == "ja" { japanese } else { english }
    }

    /// Somebody who needs a code, in the tenant whose turn it is.
    pub fn person(&self) -> &'static str {
        if self.host == GLOBEX { "taro" } else { "alice" }
    }

    pub fn administrator(&self) -> &'static str {
        if self.host == GLOBEX { "taro" } else { "root" }
    }

    pub fn person_email(&self) -> &'static str {
        if self.host == GLOBEX { "taro@globex.example" } else { "alice@acme.example" }
    }

    /// Somebody who is not an administrator.
    pub fn other(&self) -> &'static str {
        if self.host == GLOBEX { "hanako" } else { "alice" }
    }

    /// What the page says about where the code went.
    pub fn says_sent_by_email(&self) -> &'static str {
        match (self.language, self.host) {
            ("ja", GLOBEX) => "t***@globex.example に確認コードをメールで送信しました。",
            ("ja", _) => "a***@acme.example に確認コードをメールで送信しました。",
            (_, GLOBEX) => "A code was sent by email to t***@globex.example.",
            _ => "A code was sent by email to a***@acme.example.",
        }
    }

    pub fn says_wrong_code(&self, left: u32) -> String {
        self.say(
            format!("This code is wrong. {left} attempts are left."),
            format!("確認コードが正しくありません。あと{left}回入力できます。"),
        )
    }

    pub fn says_over(&self) -> &'static str {
        self.say(
            "This login has expired or has ended. Please log in again.",
            "このログイン操作は、有効期限が切れたか、終了しています。もう一度ログインしてください。",
        )
    }

    pub fn says_log_in_again(&self) -> &'static str {
        self.say(
            "Please log in again with a code, then repeat what you wanted to do.",
            "この操作を行うには、確認コードを使用してもう一度ログインしてください。\
             ログイン後に、操作をやり直してください。",
        )
    }

    pub fn says_no_backup_code(&self) -> &'static str {
        self.say("You have no backup code yet.", "バックアップコードはまだ発行されていません。")
    }

    pub fn address(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.host, self.demo.port)
    }

    pub async fn open(&self, path: &str) {
        self.client.goto(&self.address(path)).await.unwrap();
    }

    /// Where the browser is, as path and query.
    pub async fn place(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Waits until there is something.
    pub async fn until<T>(&self, what: impl Debug, mut is: impl AsyncFnMut() -> Option<T>) -> T {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        let start = Instant::now();
        while start.elapsed() < LONGEST {
            every.tick().await;
            if let Some(it) = is().await {
                return it;
            }
        }
        let address = self.client.current_url().await;
        let body = self.client.find(Locator::Css("body")).await.unwrap();
        panic!("no {what:?} at {address:?}:\n{}", body.text().await.unwrap())
    }

    pub async fn find(&self, css: &str) -> Element {
        self.until(css, async || self.client.find(Locator::Css(css)).await.ok()).await
    }

    pub async fn count(&self, css: &str) -> usize {
        self.find("body").await;
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    pub async fn heading(&self) -> String {
        self.text("h1").await
    }

    /// The message at the top of the page.
    pub async fn alert(&self) -> String {
        self.text("#alert").await
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Clicks, and waits for the page that this leads to.
    pub async fn press(&self, css: &str) {
        self.leave(async || self.click(css).await).await;
    }

    /// Does something, and waits for the page that this leads to.
    pub async fn leave(&self, act: impl AsyncFnOnce()) {
        let page = self.find("html").await;
        act().await;
        self.until("other page", async || page.tag_name().await.err()).await;
        self.find("h1").await;
    }

    pub async fn double_click(&self, css: &str) {
        let element = self.find(css).await;
        let (button, duration) = (MOUSE_BUTTON_LEFT, Some(Duration::ZERO));
        let mut mouse = MouseActions::new("mouse".to_owned());
        mouse = mouse.then(PointerAction::MoveToElement { element, duration, x: 0.0, y: 0.0 });
        for _ in 0..2 {
            mouse = mouse.then(PointerAction::Down { button }).then(PointerAction::Up { button });
        }
        self.client.perform_actions(mouse).await.unwrap();
    }

    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// A command of the browser's own protocol for tools.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        let session = self.client.session_id().await.unwrap().unwrap();
        let head = format!(
            "POST /session/{session}/goog/cdp/execute HTTP/1.1\r\n\
             content-type: application/json\r\nhost: 127.0.0.1"
        );
        let body = json!({"cmd": name, "params": parameters}).to_string();
        let answer: Value = serde_json::from_str(&ask(self.driver, &head, &body).await).unwrap();
        answer["value"].clone()
    }

    pub async fn inbox(&self) -> Vec<Message> {
        self.demo.inbox(self.host).await
    }

    /// How many codes the tenant's users got.
    pub async fn codes_sent(&self) -> usize {
        self.inbox().await.iter().filter(|message| message.code.is_some()).count()
    }

    /// The code from the message with the reference that the page shows.
    pub async fn code(&self) -> String {
        let reference = self.text(".reference").await;
        let inbox = self.inbox().await;
        let mut codes = inbox.into_iter().filter(|message| message.text.contains(&*reference));
        codes.find_map(|message| message.code).unwrap()
    }

    /// A well-formed code that is not the one of the page.
    pub async fn wrong_code(&self) -> String {
        if self.code().await == "123456" { "654321" } else { "123456" }.to_owned()
    }

    /// Sends name and password from the login page.
    pub async fn enter_password(&self, name: &str) {
        self.fill("#name", name).await;
        self.fill("#password", PASSWORD).await;
        self.press("main button").await;
    }

    /// Opens the login page, and gets to the page of the code.
    pub async fn begin(&self, name: &str) {
        self.open("/auth/sign-in").await;
        self.enter_password(name).await;
        self.code_is_sent().await;
    }

    /// Waits for the page of the code, and for a code: the third within the spacing comes later.
    pub async fn code_is_sent(&self) {
        self.find("#code").await;
        if self.count(".reference").await == 0 {
            self.press("#resend button[value=same]:enabled").await;
        }
    }

    pub async fn enter_code(&self, code: &str) {
        self.fill("#code", code).await;
        self.press("form:has(#code) button").await;
    }

    /// Enters the right code.
    pub async fn complete(&self) {
        let code = self.code().await;
        self.enter_code(&code).await;
    }

    /// Logs in with a code, from the login page to home.
    pub async fn sign_in(&self, name: &str) {
        self.begin(name).await;
        self.complete().await;
        assert_eq!((self.place().await, self.user().await), ("/".to_owned(), name.to_owned()));
    }

    /// Who is signed in, as the application's own page says.
    pub async fn user(&self) -> String {
        self.text("#hello bdi").await
    }

    /// Checks that nobody is signed in.
    pub async fn nobody_is_signed_in(&self) {
        self.open("/").await;
        self.find("a.button[href='/auth/sign-in']").await;
        assert_eq!(self.count("#hello").await, 0);
    }

    pub async fn sign_out(&self) {
        self.open("/auth/me").await;
        self.press("header form button").await;
        assert_eq!(self.place().await, "/auth/sign-in?done=signed_out");
    }

    /// Names of the cookies of the tenant whose turn it is, without what is random in them.
    pub async fn cookies(&self) -> BTreeSet<String> {
        let cookies = self.client.get_all_cookies().await.unwrap();
        cookies.into_iter().map(|cookie| cookie.name().to_owned()).collect()
    }

    /// Opens a tab that is then in front.
    pub async fn new_tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }
}
