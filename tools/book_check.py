"""Read every page of the rendered book: links, pictures, alternative texts, formulas.

python tools/book_check.py [FOLDER]     one line a fault; build/book by default
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

LARGEST_PAGE, LARGEST_BOOK = 4_000_000, 15_000_000  # bytes


class Page(HTMLParser):
    """What a page refers to, and what can be referred to on it."""

    def __init__(self, text: str):
        super().__init__()
        self.names, self.links, self.fetched, self.faults = set(), [], [], []
        self.in_formula = 0
        self.feed(text)

    def handle_starttag(self, tag: str, pairs: list) -> None:
        found = dict(pairs)
        self.names |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("img", "script", "iframe") and "src" in found:
            self.fetched.append(found["src"])
        if tag == "link" and found.get("rel") == "stylesheet":
            self.fetched.append(found["href"])
        if tag == "img" and len((found.get("alt") or "").split()) < 3:
            self.faults.append(f"{found['src'][:60]} has no alternative text: {found.get('alt')!r}")
        self.in_formula += tag == "math"

    def handle_endtag(self, tag: str) -> None:
        self.in_formula -= tag == "math"

    def handle_data(self, text: str) -> None:
        if self.in_formula and re.search(r"[\\&]", text):
            self.faults.append(f"a formula shows {text!r}")


def faults(book: Path) -> list[str]:
    """What is wrong with a book, a line each: page, then fault."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(book.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(book)
        found += [f"{where}: {fault}" for fault in page.faults]
        found += [
            f"{where}: fetches {src}" for src in page.fetched if re.match("(https?:)?//", src)
        ]
        if path.stat().st_size > LARGEST_PAGE:
            found.append(f"{where}: {path.stat().st_size:,} bytes; {LARGEST_PAGE:,} at most")
        for link in dict.fromkeys([*page.links, *page.fetched]):
            file, fragment = map(unquote, urldefrag(link.split("?")[0]))
            if re.match(r"[a-z]+:|//", link):
                continue
            target = (path.parent / file).resolve() if file else path
            if not target.exists():
                found.append(f"{where}: leads to {link}, which is not there")
            elif fragment and target in pages and fragment not in pages[target].names:
                found.append(f"{where}: leads to {link}, a place that is not there")
    size = sum(path.stat().st_size for path in book.rglob("*") if path.is_file())
    if size > LARGEST_BOOK:
        found.append(f"the book takes {size:,} bytes; {LARGEST_BOOK:,} at most")
    return found


def main(arguments: list[str]) -> int:
    book = Path(arguments[0] if arguments else Path(__file__).parents[1] / "build" / "book")
    found = faults(book.resolve())
    print("\n".join(found) or f"{book}: links, pictures and formulas are whole")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
