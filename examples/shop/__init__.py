"""A shop: pages, a JSON API, a chat and a live list of orders, in PostgreSQL.

The tutorial builds it, file by file, from chapter 10 on. Run it in the folder above:

.. code-block:: text

    createdb shop
    trillium-trio shop.app:app          over plain HTTP, while you develop
    python -m shop                      HTTPS, the redirect to it, and a port for administrators

DATABASE_URL says where the database is; by default ``postgresql:///shop``.
"""
