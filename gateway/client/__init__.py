"""The Python client: `rest` calls the gateway, `device` holds one device's connection to it."""
