"""How the notebooks are executed by the tests."""

from nbclient.output_widget import OutputWidget

# A cell with interact can hang under nbclient: the widget sends on a channel on which an answer is awaited (nbclient
# issue 312). Nothing that is stored in a notebook needs what it sends.
OutputWidget.sync_state = lambda self: None  # noqa: ARG005
