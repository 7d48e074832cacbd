"""``python -m dunrestore``."""

from dunrestore.cli.app import main

main()
