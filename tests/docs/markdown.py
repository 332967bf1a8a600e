"""Reads what the checks need from a Markdown file: fenced blocks, statements of shell blocks, code spans, links and anchors.

It owns where each of them stands. It must not know what a right one is.
"""
import dataclasses
import re
import shlex

SHELL = ("sh", "bash", "console")
FENCE = re.compile(r"^ *```(.*)$")
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\[\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$")


@dataclasses.dataclass
class Block:
    line: int
    language: str
    text: str


@dataclasses.dataclass
class Statement:
    line: int
    text: str
    comment: str


def blank(match):
    """Blanks of the same length, so that lines and offsets stay as they are."""
    return re.sub(r"[^\n]", " ", match[0])


class Document:
    def __init__(self, path, root):
        self.path, self.root, self.name = path, root, str(path.relative_to(root))
        self.blocks, prose = [], []
        opened = None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            fence = FENCE.match(line)
            if fence and opened is None:
                opened = Block(number + 1, fence[1].strip(), "")
            elif fence:
                self.blocks.append(opened)
                opened = None
            elif opened is not None:
                opened.text += line + "\n"
            prose.append("" if fence or opened else line)
        self.unclosed = opened.line - 1 if opened else None
        self.prose = "\n".join(prose)

    def line_of(self, offset):
        return self.prose.count("\n", 0, offset) + 1

    def spans(self):
        return [(self.line_of(found.start()), found[1]) for found in SPAN.finditer(self.prose)]

    def links(self):
        return [(self.line_of(found.start()), found[1]) for found in LINK.finditer(SPAN.sub(blank, self.prose))]

    def anchors(self):
        """The names that GitHub gives to headings."""
        found = {}
        for line in self.prose.splitlines():
            heading = HEADING.match(line)
            if heading:
                text = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
                found[text] = found.get(text, 0) + 1
        return {f"{name}-{again}" if again else name for name, times in found.items() for again in range(times)}


def is_whole(text):
    """Whether quotes are closed and the last line is not continued."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.rstrip("\n").endswith("\\")


def statements(block):
    """The statements of a shell block, each with its comments: the lines before it, and the end of its last line."""
    found, lines, comments, first = [], [], [], 0
    for number, line in enumerate(block.text.splitlines(), block.line):
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            comments.append(line.strip("# "))
            continue
        first = first or number
        lines.append(line)
        text = "\n".join(lines)
        if is_whole(text):
            code, comment = without_comment(text)
            found.append(Statement(first, code, " ".join([*comments, comment]).strip()))
            lines, comments, first = [], [], 0
    if lines:
        found.append(Statement(first, "\n".join(lines), " ".join(comments)))
    return found


def without_comment(text):
    """A statement, and the comment at its end."""
    for found in re.finditer(r"\s+#\s", text):
        if is_whole(text[:found.start()]):
            return text[:found.start()], text[found.end():]
    return text, ""
