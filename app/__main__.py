"""`python -m app`."""

if __name__ == "__main__":
    # Inside: a worker of `serve --workers` imports this module too, and needs no command line.
    from app.cli.app import main

    main()
