//! Characters that a reader sees, and does not see.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Whether a character has the Unicode property `Default_Ignorable_Code_Point`: it is shown as
/// nothing, so that two spellings with and without it look alike.
pub(crate) const fn is_default_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Whether a character is never assigned: `U+FFFE`, `U+FDD0` and their like.
pub(crate) const fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{FDD0}'..='\u{FDEF}') || (c as u32) & 0xFFFE == 0xFFFE
}

/// Whether a reader sees a character, in a name or an address: assigned, and not private-use,
/// control, space or blank.
pub fn is_visible(c: char) -> bool {
    // Most are, and need no table.
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    // Assigned symbols that are blank, or stand for what could not be shown.
    let blank = matches!(
        c,
        '\u{2800}'
            | '\u{FFFC}'
            | '\u{FFFD}'
            | '\u{13441}'
            | '\u{13442}'
            | '\u{16FE4}'
            | '\u{1D159}'
    );
    !blank
        && !is_default_ignorable(c)
        && !matches!(
            c.general_category_group(),
            GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator
        )
}

/// Whether a character is a mark that is shown on the one before it.
pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Mark
}

/// Whether a mark takes no place of its own.
pub(crate) fn is_nonspacing_mark(c: char) -> bool {
    matches!(c.general_category(), GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark)
}

/// Whether a character is a letter of a word: none that modifies another, and no number.
pub(crate) fn is_letter(c: char) -> bool {
    use GeneralCategory::{LowercaseLetter, OtherLetter, TitlecaseLetter, UppercaseLetter};
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    matches!(
        c.general_category(),
        LowercaseLetter | OtherLetter | TitlecaseLetter | UppercaseLetter
    )
}

/// Whether a character is a capital, also where this Rust knows no small letter for it yet.
pub(crate) fn is_capital(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_uppercase();
    }
    matches!(
        c.general_category(),
        GeneralCategory::UppercaseLetter | GeneralCategory::TitlecaseLetter
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The short cuts say what the tables say.
    #[test]
    fn ascii_needs_no_table() {
        use GeneralCategory::{LowercaseLetter, TitlecaseLetter, UppercaseLetter};
        for c in '\0'..='\x7F' {
            let (category, group) = (c.general_category(), c.general_category_group());
            let hidden = [GeneralCategoryGroup::Other, GeneralCategoryGroup::Separator];
            assert_eq!(is_visible(c), !hidden.contains(&group), "{c:?}");
            assert_eq!(is_mark(c), group == GeneralCategoryGroup::Mark, "{c:?}");
            assert_eq!(
                is_letter(c),
                [LowercaseLetter, UppercaseLetter].contains(&category),
                "{c:?}"
            );
            assert_eq!(
                is_capital(c),
                [UppercaseLetter, TitlecaseLetter].contains(&category),
                "{c:?}"
            );
        }
    }
}
