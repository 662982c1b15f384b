//! Tokens: who may ask over the network, and for what. Only a digest of each secret is kept.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use syncline_core::{Digest, Nanos};

use crate::error::{Error, Result};
use crate::seal::Seal;
use crate::store::Store;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// What tells it from others; it is part of the token, and no secret.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The digest of its secret.
    pub hash: Digest,
    /// What it allows, as words.
    pub scopes: Vec<String>,
    /// Names or globs of the targets that it is limited to; all targets when there are none.
    pub targets: Vec<String>,
    /// When it was made.
    pub created: Nanos,
    /// From when on it counts no more.
    pub expires: Option<Nanos>,
    /// When it was used last, to the minute.
    pub used: Option<Nanos>,
}

impl TokenRecord {
    /// Over all but the time of its last use, which is written often and gives no right.
    fn seal(&self) -> Seal {
        let lists = [&self.scopes, &self.targets];
        let seal = Seal::of("tokens").text(&self.id).text(&self.name).bytes(&self.hash.0);
        let seal = lists.iter().fold(seal, |seal, list| seal.text(&list.join("\n")));
        seal.number(self.created).number_option(self.expires)
    }

    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let hash: Vec<u8> = row.try_get(2)?;
        let hash = <[u8; 32]>::try_from(hash.as_slice())
            .map_err(|_| Error::damaged("the digest of a token is damaged in the state database"))?;
        let token = Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            hash: Digest(hash),
            scopes: lines(row.try_get(3)?),
            targets: lines(row.try_get(4)?),
            created: row.try_get(5)?,
            expires: row.try_get(6)?,
            used: row.try_get(7)?,
        };
        let seal: Vec<u8> = row.try_get(8)?;
        token.seal().check(&seal, &format!("the token {:?}", token.name))?;
        Ok(token)
    }
}

/// Names and globs hold no end of a line.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

impl Store {
    /// Remembers a token; `false` when another one has its name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_token(&self, token: &TokenRecord) -> Result<bool> {
        const INSERT: &str = "INSERT INTO tokens (id, name, hash, scopes, targets, created, expires, used, seal) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (name) DO NOTHING";
        let mut connection = self.database().writer().await;
        let added = sqlx::query(INSERT)
            .bind(&token.id)
            .bind(&token.name)
            .bind(token.hash.0.as_slice())
            .bind(token.scopes.join("\n"))
            .bind(token.targets.join("\n"))
            .bind(token.created)
            .bind(token.expires)
            .bind(token.used)
            .bind(token.seal().finish())
            .execute(&mut *connection)
            .await?;
        Ok(added.rows_affected() > 0)
    }

    /// Forgets the token of a name, also a damaged one; whether there was any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_token(&self, name: &str) -> Result<bool> {
        const FORGET: &str = "DELETE FROM tokens WHERE name = ?1";
        let mut connection = self.database().writer().await;
        let forgotten = sqlx::query(FORGET).bind(name).execute(&mut *connection).await?;
        Ok(forgotten.rows_affected() > 0)
    }

    /// The token of an identifier, also one that counts no more.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn token(&self, id: &str) -> Result<Option<TokenRecord>> {
        const SELECT: &str = "SELECT id, name, hash, scopes, targets, created, expires, used, seal \
             FROM tokens WHERE id = ?1";
        let mut connection = self.database().reader().await?;
        let row = sqlx::query(SELECT).bind(id).fetch_optional(&mut *connection).await?;
        row.as_ref().map(TokenRecord::read).transpose()
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        const SELECT: &str = "SELECT id, name, hash, scopes, targets, created, expires, used, seal \
             FROM tokens ORDER BY name";
        let mut connection = self.database().reader().await?;
        sqlx::query(SELECT).fetch_all(&mut *connection).await?.iter().map(TokenRecord::read).collect()
    }

    /// Remembers when a token was used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_used(&self, id: &str, at: Nanos) -> Result<()> {
        const UPDATE: &str = "UPDATE tokens SET used = ?2 WHERE id = ?1";
        let mut connection = self.database().writer().await;
        sqlx::query(UPDATE).bind(id).bind(at).execute(&mut *connection).await?;
        Ok(())
    }
}
