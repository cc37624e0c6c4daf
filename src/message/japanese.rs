//! Japanese.

use time::OffsetDateTime;

use super::EmailWords;
use super::wording::{CODE, CodeFacts, Life, Moment, NoticeFacts, Wording};
use crate::contact::Method;
use crate::sender::{NoticeKind, Purpose};

/// The built-in Japanese wording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Japanese;

impl Wording for Japanese {
    fn code_email(&self, facts: &CodeFacts<'_>) -> Option<EmailWords> {
        let CodeFacts { application, reference, .. } = *facts;
        let life = life(facts);
        let (subject, what, warning) = match facts.purpose {
            Purpose::Login => (
                format!("【{application}】ログイン用の認証コード（{reference}）"),
                format!("{application} へのログインに使う認証コードです。"),
                "ログインの操作をした覚えがない場合は、パスワードが他人に知られています。すぐにパスワードを変更し、管理者に連絡してください。",
            ),
            Purpose::MethodSetup => (
                format!("【{application}】認証コードの送り先の確認（{reference}）"),
                format!(
                    "{application} の認証コードの送り先として、このメールアドレスを確認するためのコードです。"
                ),
                "お心当たりがない場合は、コードをどこにも入力せず、管理者に連絡してください。",
            ),
        };
        let words = EmailWords::new(subject)
            .paragraph(what)
            .code()
            .paragraph(format!("確認文字: {reference}（同じ文字が表示されている画面にだけ、コードを入力してください。）"))
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
                Purpose::Login => "ログイン用コード",
                Purpose::MethodSetup => "番号確認コード",
            };
            return Some(format!("{application}{what} {CODE} ({reference}/{life})"));
        }
        Some(match facts.purpose {
            Purpose::Login => {
                format!(
                    "{application}認証コード {CODE} ({reference}/{life}) 覚えがなければパスワード変更を"
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
                format!("【{application}】認証コードの送信方法が変更されました"),
                format!("{application} の認証コードは、今後{}で送信されます。", by(*to)),
                TELL,
            ),
            NoticeKind::Reset => (
                format!("【{application}】2段階認証がリセットされました"),
                format!(
                    "管理者が {application} の2段階認証をリセットしました。認証コードは、登録されているメールアドレスに送信されます。\
                     信頼済みの端末とバックアップコードは使えなくなりました。"
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
                format!("【{application}】バックアップコードが作られました"),
                format!(
                    "{application} の新しいバックアップコードが作られました。以前のコードは使えません。"
                ),
                TELL,
            ),
            NoticeKind::AddressChanged => (
                format!("【{application}】メールアドレスが変更されました"),
                format!(
                    "{application} に登録されているメールアドレスが変更されました。今後、このアドレスに認証コードは届きません。\
                     信頼済みの端末でも、次回のログインでは認証コードが必要です。"
                ),
                TELL,
            ),
            NoticeKind::DeviceTrusted { dropped, .. } => (
                format!("【{application}】信頼済みの端末が追加されました"),
                match facts.device {
                    Some(name) => {
                        format!(
                            "今後、次の端末からは認証コードなしで {application} にログインできます。「{name}」"
                        )
                    }
                    None => format!(
                        "今後、新しい端末から認証コードなしで {application} にログインできます。"
                    ),
                } + if dropped.is_some() {
                    "登録できる台数を超えたため、最も長く使われていない端末の登録が解除されました。"
                } else {
                    ""
                },
                "お心当たりがない場合は、すぐにパスワードを変更し、信頼済みの端末の一覧からその端末を削除してください。",
            ),
            NoticeKind::Locked { until } => (
                format!("【{application}】コードの誤入力が続きました"),
                match until {
                    Some(until) => format!(
                        "正しいパスワードが入力されたあと、{application} でコードの誤入力が続きました。{}までコードを受け付けません。",
                        date(*until)
                    ),
                    None => format!(
                        "正しいパスワードが入力されたあと、{application} でコードの誤入力が続きました。管理者が2段階認証をリセットするまで、コードを受け付けません。"
                    ),
                },
                PASSWORD,
            ),
        };
        let words =
            EmailWords::new(subject).paragraph(what).paragraph(format!("日時: {}", date(facts.at)));
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
        let text = match facts.kind {
            NoticeKind::MethodChanged { to } => {
                format!(
                    "{application}: 認証コードは今後{}で届きます。覚えがなければ管理者に連絡を",
                    by(*to)
                )
            }
            NoticeKind::Reset => {
                format!(
                    "{application}: 管理者が2段階認証をリセットしました。不明な点は管理者に連絡を"
                )
            }
            NoticeKind::BackupCodeUsed => {
                format!(
                    "{application}: バックアップコードでログインがありました。覚えがなければパスワード変更を"
                )
            }
            NoticeKind::BackupCodeMade => {
                format!(
                    "{application}: バックアップコードが作られました。覚えがなければ管理者に連絡を"
                )
            }
            NoticeKind::AddressChanged => {
                format!(
                    "{application}: メールアドレスが変更されました。覚えがなければ管理者に連絡を"
                )
            }
            NoticeKind::DeviceTrusted { .. } => {
                format!(
                    "{application}: コード不要の端末が追加されました。覚えがなければパスワード変更を"
                )
            }
            NoticeKind::Locked { until: Some(_) } if facts.short => {
                format!(
                    "{application}: コードの誤入力が続いたためロック中。覚えがなければパスワード変更を"
                )
            }
            NoticeKind::Locked { until: Some(until) } => {
                let Moment { month, day, time, zone, .. } = Moment::of(*until);
                let month = u8::from(month);
                format!(
                    "{application}: コード誤入力により{month}月{day}日{time}({zone})までロック。覚えがなければパスワード変更を"
                )
            }
            NoticeKind::Locked { until: None } => {
                format!(
                    "{application}: コード誤入力により、管理者がリセットするまでロック。覚えがなければパスワード変更を"
                )
            }
        };
        Some(match facts.held_back {
            0 => text,
            many => format!("{text}（ほか{}）", number(many)),
        })
    }
}

const TELL: &str = "お心当たりがない場合は、すぐに管理者に連絡してください。";
const PASSWORD: &str = "お心当たりがない場合は、パスワードが他人に知られています。すぐにパスワードを変更し、管理者に連絡してください。";

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
