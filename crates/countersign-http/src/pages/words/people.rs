//! What the list of users says, in English and Japanese.

use crate::people::Filter;
use crate::texts::Language;

/// The fixed texts of the list of users in one language.
pub(in crate::pages) struct PeopleWords {
    pub(in crate::pages) administrator: &'static str,
    pub(in crate::pages) administrators: &'static str,
    pub(in crate::pages) all: &'static str,
    pub(in crate::pages) disabled: &'static str,
    pub(in crate::pages) first: &'static str,
    pub(in crate::pages) locked: &'static str,
    pub(in crate::pages) next: &'static str,
    pub(in crate::pages) nobody: &'static str,
    pub(in crate::pages) nobody_so_far: &'static str,
    pub(in crate::pages) not_set_up: &'static str,
    pub(in crate::pages) pager: &'static str,
    pub(in crate::pages) show: &'static str,
    pub(in crate::pages) sms: &'static str,
    pub(in crate::pages) to_the_list: &'static str,
    pub(in crate::pages) unreadable: &'static str,
}

impl PeopleWords {
    pub(in crate::pages) const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Japanese => &JAPANESE,
        }
    }

    pub(in crate::pages) const fn filter(&self, filter: Filter) -> &'static str {
        match filter {
            Filter::All => self.all,
            Filter::NotSetUp => self.not_set_up,
            Filter::Locked => self.locked,
            Filter::Sms => self.sms,
            Filter::Administrators => self.administrators,
        }
    }
}

static ENGLISH: PeopleWords = PeopleWords {
    administrator: "System administrator",
    administrators: "System administrators",
    all: "All users",
    disabled: "Disabled",
    first: "Back to the start",
    locked: "Locked",
    next: "More users",
    nobody: "No users found.",
    nobody_so_far: "No users found so far. There are more users to look through.",
    not_set_up: "Not set up yet",
    pager: "Parts of the list",
    show: "Users to show",
    sms: "Codes by SMS",
    to_the_list: "List of users",
    unreadable: "The saved settings of this user cannot be read. A reset helps.",
};

static JAPANESE: PeopleWords = PeopleWords {
    administrator: "システム管理者",
    administrators: "システム管理者",
    all: "すべてのユーザー",
    disabled: "無効",
    first: "先頭に戻る",
    locked: "ロック中",
    next: "次のユーザーを表示",
    nobody: "該当するユーザーはいません。",
    nobody_so_far: "ここまでに該当するユーザーはいません。続きのユーザーを表示してください。",
    not_set_up: "未設定",
    pager: "ページの移動",
    show: "表示するユーザー",
    sms: "SMSで受け取るユーザー",
    to_the_list: "ユーザー一覧",
    unreadable: "このユーザーの保存データを読み取れません。2段階認証をリセットしてください。",
};
