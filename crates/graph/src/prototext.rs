//! The protobuf text format (<https://protobuf.dev/reference/protobuf/textformat-spec/>) as a tree with line numbers. It owns
//! the grammar; it knows no message: which fields may be there is for [`crate::fields`] to say.

use crate::error::{Error, Result};

/// What a caller puts in place of bytes that are not UTF-8. In a comment it changes nothing.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// Messages nested deeper than this come from hostile files; Caffe's own reach four.
const MAX_DEPTH: usize = 32;

/// A message: its fields in the order they stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    fields: Vec<Field>,
}

/// A field as it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: String,
    /// Its line, counted from 1.
    pub(crate) line: usize,
    /// Its value.
    pub(crate) content: Content,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A number, a string, or a name of an enum.
    Scalar(String),
    /// Fields in braces.
    Message(Message),
}

impl Message {
    /// Reads a whole text.
    ///
    /// # Errors
    /// Names the line and what was expected there.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { rest: text, line: 1 };
        parser.message(None, 0)
    }

    /// All fields, in the order they stand.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All messages called `name`.
    pub(crate) fn messages<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.fields.iter().filter(move |field| field.name == name).filter_map(|field| match &field.content {
            Content::Message(message) => Some(message),
            Content::Scalar(_) => None,
        })
    }

    /// The last message called `name`; an empty one if there is none.
    pub(crate) fn message<'a>(&'a self, name: &'a str) -> &'a Self {
        static EMPTY: Message = Message { fields: Vec::new() };
        self.messages(name).last().unwrap_or(&EMPTY)
    }

    /// All scalars called `name`.
    pub(crate) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.scalars(name).map(|(_, text)| text)
    }

    /// The last scalar called `name`.
    pub(crate) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.texts(name).last()
    }

    /// Whether there is a field called `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// All numbers called `name`.
    ///
    /// # Errors
    /// Names line and field of one that is no such number.
    pub(crate) fn numbers<T: Number>(&self, name: &str) -> Result<Vec<T>, String> {
        let parse = |(line, text)| {
            T::parse(text).ok_or_else(|| format!("line {line}: {name} should be {}, found \"{text:.64}\"", T::EXPECTED))
        };
        self.scalars(name).map(parse).collect()
    }

    /// The last number called `name`.
    ///
    /// # Errors
    /// As [`Message::numbers`].
    pub(crate) fn number<T: Number>(&self, name: &str) -> Result<Option<T>, String> {
        Ok(self.numbers(name)?.pop())
    }

    fn scalars<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        self.fields.iter().filter(move |field| field.name == name).filter_map(|field| match &field.content {
            Content::Scalar(text) => Some((field.line, text.as_str())),
            Content::Message(_) => None,
        })
    }
}

/// What a scalar can be read as.
pub(crate) trait Number: Sized {
    /// For messages: "a whole number".
    const EXPECTED: &'static str;
    /// Reads one; `None` if the text is something else.
    fn parse(text: &str) -> Option<Self>;
}

impl Number for usize {
    const EXPECTED: &'static str = "a whole number from 0 on";
    fn parse(text: &str) -> Option<Self> {
        i64::parse(text).and_then(|value| Self::try_from(value).ok())
    }
}

impl Number for i64 {
    const EXPECTED: &'static str = "a whole number";
    fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hexadecimal) => Self::from_str_radix(hexadecimal, 16),
            None if digits.len() > 1 && digits.starts_with('0') => Self::from_str_radix(digits, 8),
            None => digits.parse(),
        };
        magnitude.ok().map(|magnitude| sign * magnitude)
    }
}

impl Number for f32 {
    const EXPECTED: &'static str = "a finite number";
    fn parse(text: &str) -> Option<Self> {
        let number: Option<Self> = text.parse().ok().or_else(|| text.strip_suffix(['f', 'F'])?.parse().ok());
        number.filter(|number| number.is_finite())
    }
}

impl Number for bool {
    const EXPECTED: &'static str = "true or false";
    fn parse(text: &str) -> Option<Self> {
        match text {
            "true" | "True" | "t" | "1" => Some(true),
            "false" | "False" | "f" | "0" => Some(false),
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Parser<'a> {
    /// Fields up to `end`, or to the end of the text.
    fn message(&mut self, end: Option<char>, depth: usize) -> Result<Message> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("messages are nested deeper than {MAX_DEPTH}")));
        }
        let mut fields = Vec::new();
        loop {
            match (self.peek(), end) {
                (None, None) => return Ok(Message { fields }),
                (None, Some(end)) => return Err(self.error(format!("expected {end:?}, found the end of the file"))),
                (Some(found), Some(end)) if found == end => {
                    self.advance(1);
                    return Ok(Message { fields });
                }
                (Some(',' | ';'), _) => self.advance(1),
                (Some(_), _) => self.field(&mut fields, depth)?,
            }
        }
    }

    /// `name: value`, `name { … }`, `name: { … }` or `name: [value, …]`.
    fn field(&mut self, fields: &mut Vec<Field>, depth: usize) -> Result<()> {
        let line = self.line;
        let name = self.name()?;
        let colon = self.peek() == Some(':');
        if colon {
            self.advance(1);
        }
        let mut push = |content| fields.push(Field { name: name.to_owned(), line, content });
        match self.peek() {
            Some('[') if colon => {
                self.advance(1);
                loop {
                    match self.peek() {
                        Some(']') => break self.advance(1),
                        Some(',') => self.advance(1),
                        _ => push(self.value(true, depth)?),
                    }
                }
            }
            _ => push(self.value(colon, depth)?),
        }
        Ok(())
    }

    fn value(&mut self, scalar_allowed: bool, depth: usize) -> Result<Content> {
        match self.peek() {
            Some('{') => {
                self.advance(1);
                self.message(Some('}'), depth + 1).map(Content::Message)
            }
            Some('<') => {
                self.advance(1);
                self.message(Some('>'), depth + 1).map(Content::Message)
            }
            Some('"' | '\'') if scalar_allowed => self.strings().map(Content::Scalar),
            Some(_) if scalar_allowed => self.word().map(|word| Content::Scalar(word.to_owned())),
            found => {
                let expected = if scalar_allowed { "a value" } else { "':' or '{'" };
                Err(self.error(format!("expected {expected}, found {}", describe(found))))
            }
        }
    }

    fn name(&mut self) -> Result<&'a str> {
        let length = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        if length == 0 {
            let found = describe(self.peek());
            return Err(self.error(format!("expected the name of a field, found {found}")));
        }
        Ok(self.take(length))
    }

    /// A number, `true` or a name of an enum.
    fn word(&mut self) -> Result<&'a str> {
        let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-'));
        match self.rest.find(end).unwrap_or(self.rest.len()) {
            0 => {
                let found = describe(self.peek());
                Err(self.error(format!("expected a value, found {found}")))
            }
            length => Ok(self.take(length)),
        }
    }

    /// One string, or several that stand together and are one.
    fn strings(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        while let Some(quote @ ('"' | '\'')) = self.peek() {
            self.advance(1);
            self.string(quote, &mut bytes)?;
        }
        String::from_utf8(bytes).map_err(|_| self.error("the string is not UTF-8".to_owned()))
    }

    fn string(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<()> {
        loop {
            let mut chars = self.rest.chars();
            match chars.next() {
                None | Some('\n') => return Err(self.error(format!("expected {quote} before the end of the line"))),
                Some(c) if c == quote => return self.step(1),
                Some(NO_TEXT) => return Err(self.error("the string is not UTF-8".to_owned())),
                Some('\\') => {
                    let escaped = chars.next();
                    self.advance(1);
                    self.escape(escaped, bytes)?;
                }
                Some(c) => {
                    bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.advance(c.len_utf8());
                }
            }
        }
    }

    /// What stands after a backslash.
    fn escape(&mut self, escaped: Option<char>, bytes: &mut Vec<u8>) -> Result<()> {
        let plain = match escaped {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some(c @ ('\\' | '\'' | '"' | '?')) => c as u8,
            Some('0'..='7') => {
                let length = self.rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let value = u16::from_str_radix(self.take(length), 8).unwrap_or(u16::MAX);
                let byte = u8::try_from(value).map_err(|_| self.error("an octal escape passes 377".to_owned()))?;
                bytes.push(byte);
                return Ok(());
            }
            Some('x' | 'X') => {
                self.advance(1);
                let length = self.rest.bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
                let byte = u8::from_str_radix(self.take(length), 16);
                bytes.push(byte.map_err(|_| self.error("expected hexadecimal digits after \\x".to_owned()))?);
                return Ok(());
            }
            other => return Err(self.error(format!("{} cannot follow a backslash", describe(other)))),
        };
        bytes.push(plain);
        self.step(1)
    }

    /// The next character that is neither blank nor comment.
    fn peek(&mut self) -> Option<char> {
        loop {
            let c = self.rest.chars().next()?;
            if c == '#' {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(length);
            } else if c.is_whitespace() || c == '\u{feff}' {
                self.line += usize::from(c == '\n');
                self.advance(c.len_utf8());
            } else {
                return Some(c);
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn advance(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    fn step(&mut self, length: usize) -> Result<()> {
        self.advance(length);
        Ok(())
    }

    fn error(&self, message: String) -> Error {
        Error::Text { line: self.line, message }
    }
}

fn describe(found: Option<char>) -> String {
    match found {
        None => "the end of the file".to_owned(),
        Some(NO_TEXT) => "bytes that are not UTF-8".to_owned(),
        Some(c) => format!("{c:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_the_grammar() {
        let text = "# comment\nname: \"a\\\"b\" 'c\\101'; list: [1, 0x10, 017], list: -4\nouter { inner: < f: 1.5f > on: true }\nkind: MAX";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.text("name"), Some("a\"bcA"));
        assert_eq!(message.numbers::<i64>("list"), Ok(vec![1, 16, 15, -4]));
        assert_eq!(message.message("outer").message("inner").number::<f32>("f"), Ok(Some(1.5)));
        assert_eq!(message.message("outer").number::<bool>("on"), Ok(Some(true)));
        assert_eq!(message.text("kind"), Some("MAX"));
        assert!(!message.message("absent").has("anything"));
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            ("a: 1\nb { c: 2", 2, "expected '}', found the end of the file"),
            ("a: 1\n\n}", 3, "expected the name of a field, found '}'"),
            ("a 1", 1, "expected ':' or '{', found '1'"),
            ("a: \"x\n\"", 1, "expected \" before the end of the line"),
            ("a:", 1, "expected a value, found the end of the file"),
            ("a: [1", 1, "expected a value, found the end of the file"),
            ("a: '\\q'", 1, "'q' cannot follow a backslash"),
        ];
        for (text, line, message) in cases {
            match Message::parse(text) {
                Err(Error::Text { line: found, message: said }) => {
                    assert_eq!(found, line, "{text}");
                    assert!(said.starts_with(message), "{text}: {said}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(Message::parse(&"a {".repeat(100_000)).is_err());
        let wrong = Message::parse("x: 1\ny: -2").unwrap().number::<usize>("y");
        assert_eq!(wrong.unwrap_err(), "line 2: y should be a whole number from 0 on, found \"-2\"");
    }
}
