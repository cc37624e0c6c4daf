//! Japanese.

use time::OffsetDateTime;

use super::EmailWords;
use super::wording::{CODE, CodeFacts, Life, Moment, NoticeFacts, Origin, Wording};
use countersign::Method;
use countersign::sender::{NoticeKind, Purpose};

/// The built-in Japanese wording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Japanese;

impl Wording for Japanese {
    fn code_email(&self, facts: &CodeFacts<'_>) -> Option<EmailWords> {
        let CodeFacts { application, reference, .. } = *facts;
        let life = life(facts);
        let (subject, what, warning) = match facts.purpose {
            Purpose::Login => (
                format!("【{application}】ログイン用の確認コード（{reference}）"),
                format!("{application} へのログインに使う確認コードです。"),
                "ログインの操作をした覚えがない場合は、第三者にパスワードを知られているおそれがあります。すぐにパスワードを変更し、管理者に連絡してください。",
            ),
            Purpose::MethodSetup => (
                format!("【{application}】確認コードの送信先の確認（{reference}）"),
                format!(
                    "このメールアドレスを {application} の確認コードの送信先にするための、確認用のコードです。"
                ),
                "お心当たりがない場合は、コードをどこにも入力せず、管理者に連絡してください。",
            ),
        };
        let words = EmailWords::new(subject)
            .paragraph(what)
            .code()
            .paragraph(format!("照合文字: {reference}（同じ文字が表示されている画面にだけ、コードを入力してください。）"))
            .paragraph(format!(
                "コードは{life}有効です。コードは誰にも教えないでください。{application} の担当者がコードをお尋ねすることはありません。"
            ))
            .paragraph(warning);
        Some(words)
    }

    fn code_sms(&self, facts: &CodeFacts<'_>) -> Option<String> {
        let CodeFacts { application, reference, .. } = *facts;
        let life = life(facts);
        if facts.short {
            let what = match facts.purpose {
                Purpose::Login => "確認コード",
                Purpose::MethodSetup => "番号確認コード",
            };
            return Some(format!("{application}{what} {CODE} ({reference}/{life})"));
        }
        Some(match facts.purpose {
            Purpose::Login => {
                format!(
                    "{application}確認コード {CODE} ({reference}/{life}) 覚えがなければパスワード変更を"
                )
            }
            Purpose::MethodSetup => {
                format!(
                    "{application}番号確認コード {CODE} ({reference}/{life}) 覚えがなければ無視を"
                )
            }
        })
    }

    fn notice_email(&self, facts: &NoticeFacts<'_>) -> Option<EmailWords> {
        let application = facts.application;
        let (subject, what, warning) = match facts.kind {
            NoticeKind::MethodChanged { to } => (
                format!("【{application}】確認コードの送信方法が変更されました"),
                format!("{application} の確認コードは、今後{}で送信されます。", by(*to)),
                TELL,
            ),
            NoticeKind::Reset => (
                format!("【{application}】2段階認証がリセットされました"),
                format!(
                    "管理者が {application} の2段階認証をリセットしました。確認コードは今後、登録されているメールアドレスに送信されます。\
                     信頼できる端末の登録は解除され、バックアップコードは使えなくなりました。"
                ),
                "理由がわからない場合は、すぐに管理者に連絡してください。",
            ),
            NoticeKind::BackupCodeUsed => (
                format!("【{application}】バックアップコードが使用されました"),
                format!(
                    "バックアップコードを使って {application} へのログインが行われました。使用されたコードは無効になり、新しいコードが画面に表示されました。"
                ),
                PASSWORD,
            ),
            NoticeKind::BackupCodeMade => (
                format!("【{application}】バックアップコードが発行されました"),
                format!(
                    "{application} の新しいバックアップコードが発行されました。以前のバックアップコードは使えません。"
                ),
                TELL,
            ),
            NoticeKind::AddressChanged => (
                format!("【{application}】メールアドレスが変更されました"),
                format!(
                    "{application} に登録されているメールアドレスが変更されました。今後、このアドレスに確認コードは届きません。\
                     信頼できる端末でも、次回のログインでは確認コードが必要です。"
                ),
                TELL,
            ),
            NoticeKind::SettingsChanged { weakens } => (
                format!("【{application}】2段階認証の設定が変更されました"),
                format!("管理者が {application} の2段階認証の設定を変更しました。")
                    + if *weakens {
                        "以前よりもログインの保護が弱くなっています。"
                    } else {
                        ""
                    },
                "理由がわからない場合は、設定を確認し、ほかの管理者に連絡してください。",
            ),
            NoticeKind::DeviceTrusted { dropped, .. } => (
                format!("【{application}】信頼できる端末が追加されました"),
                match facts.device {
                    Some(name) => {
                        format!(
                            "今後、端末「{name}」からは確認コードなしで {application} にログインできます。"
                        )
                    }
                    None => format!(
                        "今後、新しく追加された端末からは確認コードなしで {application} にログインできます。"
                    ),
                } + if dropped.is_some() {
                    "登録できる台数を超えたため、最も長い間使われていなかった端末の登録が解除されました。"
                } else {
                    ""
                },
                "お心当たりがない場合は、すぐにパスワードを変更し、信頼できる端末の一覧からその端末を削除してください。",
            ),
            NoticeKind::Locked { until } => (
                format!("【{application}】確認コードの誤入力が続きました"),
                match until {
                    Some(until) => format!(
                        "{application} で正しいパスワードが入力されたあと、確認コードの誤入力が続きました。{}まで、確認コードを受け付けません。",
                        date(*until)
                    ),
                    None => format!(
                        "{application} で正しいパスワードが入力されたあと、確認コードの誤入力が続きました。管理者が2段階認証をリセットするまで、確認コードを受け付けません。"
                    ),
                },
                PASSWORD,
            ),
        };
        let words =
            EmailWords::new(subject).paragraph(what).paragraph(format!("日時: {}", date(facts.at)));
        let words = match from(&facts.from) {
            Some(from) => words.paragraph(format!("接続元: {from}")),
            None => words,
        };
        let words = match facts.held_back {
            0 => words,
            many => words.paragraph(format!(
                "前回のお知らせのあと、同じ種類のお知らせを{}省略しました。",
                number(many)
            )),
        };
        Some(words.paragraph(warning))
    }

    fn notice_sms(&self, facts: &NoticeFacts<'_>) -> Option<String> {
        let application = facts.application;
        let (what, advice) = match facts.kind {
            NoticeKind::MethodChanged { to } => {
                (format!("確認コードは今後{}で届きます", by(*to)), CONTACT)
            }
            NoticeKind::Reset => {
                ("管理者が2段階認証をリセットしました".to_owned(), "不明な点は管理者に連絡を")
            }
            NoticeKind::BackupCodeUsed => {
                ("バックアップコードでログインがありました".to_owned(), CHANGE_PASSWORD)
            }
            NoticeKind::BackupCodeMade => {
                ("バックアップコードが発行されました".to_owned(), CONTACT)
            }
            NoticeKind::AddressChanged => ("メールアドレスが変更されました".to_owned(), CONTACT),
            NoticeKind::SettingsChanged { weakens: true } => {
                ("2段階認証の設定が弱められました".to_owned(), "不明な点は設定の確認を")
            }
            NoticeKind::SettingsChanged { weakens: false } => {
                ("2段階認証の設定が変更されました".to_owned(), "不明な点は設定の確認を")
            }
            NoticeKind::DeviceTrusted { .. } => {
                ("信頼できる端末が追加されました".to_owned(), CHANGE_PASSWORD)
            }
            NoticeKind::Locked { until: Some(_) } if facts.short => {
                ("コードの誤入力が続いたためロック中".to_owned(), CHANGE_PASSWORD)
            }
            NoticeKind::Locked { until: Some(until) } => {
                let Moment { month, day, time, zone, .. } = Moment::of(*until);
                let month = u8::from(month);
                (format!("コード誤入力で{month}月{day}日{time}({zone})までロック"), CHANGE_PASSWORD)
            }
            NoticeKind::Locked { until: None } => {
                ("コード誤入力により、管理者がリセットするまでロック".to_owned(), CHANGE_PASSWORD)
            }
        };
        let more = match facts.held_back {
            0 => String::new(),
            many => format!("（ほか{}）", number(many)),
        };
        let from = facts.from.address.map(|address| format!("（IP {address}）"));
        let from = from.unwrap_or_default();
        Some(format!("{application}: {what}{more}{from}。{advice}"))
    }
}

const CONTACT: &str = "覚えがなければ管理者に連絡を";
const CHANGE_PASSWORD: &str = "覚えがなければパスワード変更を";
const TELL: &str = "お心当たりがない場合は、すぐに管理者に連絡してください。";
const PASSWORD: &str = "お心当たりがない場合は、第三者にパスワードを知られているおそれがあります。すぐにパスワードを変更し、管理者に連絡してください。";

/// `203.0.113.7、Firefox（Windows）`: as much of it as is known.
fn from(origin: &Origin) -> Option<String> {
    let client = match (origin.client.browser, origin.client.system) {
        (Some(browser), Some(system)) => Some(format!("{browser}（{system}）")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    let parts: Vec<String> =
        origin.address.map(|address| address.to_string()).into_iter().chain(client).collect();
    (!parts.is_empty()).then(|| parts.join("、"))
}

/// A number of notices that were held back.
fn number(held_back: u32) -> String {
    if held_back < 999 { format!("{held_back}件") } else { "999件以上".to_owned() }
}

fn life(facts: &CodeFacts<'_>) -> String {
    match Life::of(facts.valid_for) {
        Life::Minutes(minutes) => format!("{minutes}分間"),
        Life::Seconds(seconds) => format!("{seconds}秒間"),
    }
}

const fn by(method: Method) -> &'static str {
    match method {
        Method::Email => "メール",
        Method::Sms => "SMS",
    }
}

fn date(at: OffsetDateTime) -> String {
    let Moment { year, month, day, time, zone } = Moment::of(at);
    format!("{year}年{}月{day}日 {time}（{zone}）", u8::from(month))
}
