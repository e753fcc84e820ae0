"""Errors that a user can act on."""


class UserError(Exception):
    """Something that the user can put right: a message that says what is wrong and where, a hint what to do.

    The command line prints it as one line and leaves with exit code 2. Errors in groundup itself are
    other exceptions, and keep their traceback.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
