"""What a reader must know of a file and its source, and how it names what it finds."""

from dataclasses import dataclass

from groundup.data.document import HEAD_CHARS, Rejected, Text

_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Reading:
    """One file that is being read."""

    name: str
    location: str
    size: int
    encoding: str
    """As the recipe has it."""
    text_field: str
    separator: str
    limit: int
    """Bytes that one document or line may have."""

    def text(self, text: str, number: int | None = None) -> Text:
        """Record `number` of the file (None: the file is one record)."""
        return Text(self._name(number), text.removeprefix("\ufeff").replace("\r\n", "\n"))

    def reject(
        self,
        reason: str,
        detail: str,
        *,
        number: int | None = None,
        line: int | None = None,
        size: int | None = None,
        head: bytes | str = b"",
        hint: str = "",
    ) -> Rejected:
        """What is lost: record `number` in `line`, or (both None) the file, or the rest of it."""
        start = head[: 4 * HEAD_CHARS].decode("utf-8", "replace") if isinstance(head, bytes) else head
        location = self.location if line is None else f"{self.location}:{line}"
        lost = self.size if size is None else size
        return Rejected(self._name(number), reason, detail, lost, start[:HEAD_CHARS], location, hint)

    def not_decoded(
        self,
        error: UnicodeDecodeError,
        offset: int | None = None,
        *,
        number: int | None = None,
        line: int | None = None,
    ) -> Rejected:
        """Bytes, which begin at `offset` in the file if that is known, are not in the source's encoding."""
        reason = "not_" + self.encoding.replace("-", "")
        size = None if number is None else len(error.object)
        detail = error.reason if offset is None else f"byte {offset + error.start}: {error.reason}"
        return self.reject(reason, detail, number=number, line=line, size=size, head=error.object)

    def broken(self, detail: str, *, line: int | None = None, hint: str = "") -> Rejected:
        """The file, from here on, is not what its ending says."""
        return self.reject("broken", detail, line=line, hint=hint)

    def field(self, record: object, number: int, line: int, size: int) -> Text | Rejected:
        """The text in a record of JSON or a table; null is empty text."""
        problem, hint = "", ""
        if not isinstance(record, dict):
            problem = f"not an object with a field '{self.text_field}' but {_TYPES.get(type(record), 'a string')}"
        elif self.text_field not in record:
            problem, hint = f"no field '{self.text_field}'", self.fields_hint(list(record))
        else:
            value = record[self.text_field]
            if value is None or isinstance(value, str):
                return self.bounded(value or "", number, line)
            problem = f"field '{self.text_field}' is {_TYPES.get(type(value), type(value).__name__)}, not text"
        return self.reject("broken", problem, number=number, line=line, size=size, hint=hint)

    def bounded(self, text: str, number: int, line: int | None = None) -> Text | Rejected:
        """`text`, unless it is longer than the limit."""
        if 4 * len(text) > self.limit and (size := len(text.encode("utf-8", "surrogatepass"))) > self.limit:
            detail = f"{size} bytes, at most {self.limit} are taken"
            return self.reject("too_long", detail, number=number, line=line, size=size, head=text)
        return self.text(text, number)

    def fields_hint(self, fields: list[str]) -> str:
        """What to do where the text field is missing."""
        return f"set text_field of the source to one of: {', '.join(map(str, fields[:20])) or 'there is none'}"

    def _name(self, number: int | None) -> str:
        return self.name if number is None else f"{self.name}#{number}"
