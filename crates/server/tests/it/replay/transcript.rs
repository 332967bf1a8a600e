//! Reads recordings: numbered blocks, each with a curl line, the status, and the answer.

use serde_json::Value;

/// One request and what the original answered.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) number: u32,
    pub(super) title: String,
    pub(super) method: String,
    pub(super) port: u16,
    /// With the query.
    pub(super) path: String,
    pub(super) body: Option<String>,
    /// `None` where the original crashed.
    pub(super) status: Option<u16>,
    pub(super) answer: Answer,
}

/// What was recorded of an answer's body.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Json(Value),
    /// A rendered template.
    Text,
    /// The recording ends in the middle of it.
    CutOff,
    /// The original crashed.
    Nothing,
}

/// All exchanges, in order.
pub(super) fn parse(text: &str) -> Vec<Exchange> {
    let mut blocks: Vec<(u32, &str)> = Vec::new();
    let mut start = None;
    for (offset, line) in lines(text) {
        if let Some(number) = block_number(line) {
            if let Some((number, from)) = start {
                blocks.push((number, &text[from..offset]));
            }
            start = Some((number, offset));
        }
    }
    if let Some((number, from)) = start {
        blocks.push((number, &text[from..]));
    }
    blocks.into_iter().map(|(number, block)| exchange(number, block)).collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |offset, line| {
        let from = *offset;
        *offset += line.len();
        Some((from, line))
    })
}

/// `### 12. title`
fn block_number(line: &str) -> Option<u32> {
    line.strip_prefix("### ")?.split_once(". ")?.0.parse().ok()
}

fn exchange(number: u32, block: &str) -> Exchange {
    let title = block.lines().next().and_then(|line| line.split_once(". ")).map_or("", |(_, title)| title);
    let after_dollar = block.split_once("\n$ ").expect("every block has a curl line").1;
    let command = after_dollar.lines().next().expect("a line");
    let words = shell_words(command);
    let argument = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).cloned();
    let url = words.iter().find_map(|word| word.strip_prefix("http://127.0.0.1:")).expect("a URL");
    let (port, path) = url.split_once('/').expect("a path");
    let (status_line, rest) = block.split_once("\n-> HTTP ").expect("a status").1.split_once('\n').unwrap_or_default();
    let status = status_line.get(..3).and_then(|code| code.parse().ok()).filter(|code| *code != 0);
    Exchange {
        number,
        title: title.to_owned(),
        method: argument("-X").expect("a method"),
        port: port.parse().expect("a port"),
        path: format!("/{path}"),
        body: argument("-d"),
        answer: if status.is_none() { Answer::Nothing } else { answer(rest) },
        status,
    }
}

fn answer(text: &str) -> Answer {
    if text.starts_with("[not JSON]") {
        return Answer::Text;
    }
    // The recorder wrote NaN as the original did.
    let text = text.replace(": NaN", ": 0.0").replace(" NaN,", " 0.0,").replace(" NaN\n", " 0.0\n");
    match serde_json::Deserializer::from_str(&text).into_iter().next() {
        Some(Ok(value)) => Answer::Json(value),
        Some(Err(_)) | None => Answer::CutOff,
    }
}

/// Splits a command line at blanks, single quotes kept together; the recorder wrote `'"'"'` for a quote inside quotes.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, ' ') => words.push(String::new()),
            (_, other) => words.last_mut().expect("never empty").push(other),
        }
    }
    words
}

#[test]
fn blocks_are_read() {
    let text = "# head\n\n### 1. create\n$ curl -s -X PUT http://127.0.0.1:8081/services/a?x=y -d '{\"a\": \"b\"}'\n\
        request body, pretty: {\n}\nHTTP/1.1 201 \n-> HTTP 201  curl rc=0  15.1 ms\n{\n  \"a\": NaN,\n  \"b\": 1\n}\n\n\
        ### repository /models/x\ntotal 24\n\n### 2. crash\n$ curl -s -X GET 'http://127.0.0.1:8080/train'\n-> HTTP 000  curl rc=52\n[not JSON] ''\n";
    let exchanges = parse(text);
    assert_eq!(exchanges.len(), 2);
    let first = &exchanges[0];
    assert_eq!((first.number, first.title.as_str(), first.port), (1, "create", 8081));
    assert_eq!((first.method.as_str(), first.path.as_str()), ("PUT", "/services/a?x=y"));
    assert_eq!((first.body.as_deref(), first.status), (Some("{\"a\": \"b\"}"), Some(201)));
    assert_eq!(first.answer, Answer::Json(serde_json::json!({"a": 0.0, "b": 1})));
    assert_eq!((exchanges[1].status, &exchanges[1].answer), (None, &Answer::Nothing));
}
