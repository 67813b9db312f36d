"""The one exception that means: the user can put this right."""


class InputError(ValueError):
    """Input that plmscale cannot use.

    The message says what is wrong, where (file and line, or configuration key), the value found, and what would be
    right. It is shown without a traceback.
    """
