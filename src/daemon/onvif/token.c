/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/onvif/token.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"

#define SECURITY "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
#define UTILITY "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
#define DIGEST_TYPE "#PasswordDigest" /* how the URI ends */

/* "2026-01-31T12:34:56.789Z" (XML Schema part 2, clause 3.2.7). */
static bool read_time(const char *text, int64_t *out_s)
{
	struct tm tm = {0};
	int len = 0;

	if (strlen(text) >= TOKEN_TIME_MAX ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &len) != 6)
		return false;
	text += len;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0 && text[0] != '\0')
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*out_s = timegm(&tm);
	return true;
}

/* A text that is there, and fits. */
static bool copy(char *out, size_t size, const char *text)
{
	if (!text || !text[0] || strlen(text) >= size)
		return false;
	memcpy(out, text, strlen(text) + 1);
	return true;
}

int token_read(struct token *out, const struct xml *xml, const struct xml_node *header)
{
	const struct xml_node *security = xml_child(xml, header, SECURITY, "Security");
	const struct xml_node *token = xml_child(xml, security, SECURITY, "UsernameToken");
	const struct xml_node *password = xml_child(xml, token, SECURITY, "Password");
	const char *type = xml_attribute(xml, password, "Type");
	const char *nonce = xml_child_text(xml, token, SECURITY, "Nonce");
	size_t type_len = type ? strlen(type) : 0;
	int len;

	*out = (struct token){0};
	if (!token)
		return -ENOENT;
	if (!password || !nonce || type_len < sizeof DIGEST_TYPE - 1 ||
	    strcmp(type + type_len - (sizeof DIGEST_TYPE - 1), DIGEST_TYPE) != 0)
		return -EBADMSG;
	if (!copy(out->name, sizeof out->name, xml_child_text(xml, token, SECURITY, "Username")) ||
	    !copy(out->created, sizeof out->created,
		  xml_child_text(xml, token, UTILITY, "Created")) ||
	    !read_time(out->created, &out->created_s) ||
	    bytes_read_base64(out->digest, sizeof out->digest, password->text) != TOKEN_SHA1_SIZE)
		return -EBADMSG;
	len = bytes_read_base64(out->nonce, sizeof out->nonce, nonce);
	if (len <= 0)
		return -EBADMSG;
	out->nonce_len = (size_t)len;
	return 0;
}

bool token_fits(const struct token *token, const char *password)
{
	uint8_t made[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
	bool ok = sha1 && EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) == 1 &&
		  EVP_DigestUpdate(sha1, token->nonce, token->nonce_len) == 1 &&
		  EVP_DigestUpdate(sha1, token->created, strlen(token->created)) == 1 &&
		  EVP_DigestUpdate(sha1, password, strlen(password)) == 1 &&
		  EVP_DigestFinal_ex(sha1, made, NULL) == 1;

	EVP_MD_CTX_free(sha1);
	return ok && CRYPTO_memcmp(made, token->digest, TOKEN_SHA1_SIZE) == 0;
}

/* Of a digest that is right, which nobody can choose. */
static uint64_t key_of(const struct token *token)
{
	uint64_t key;

	memcpy(&key, token->digest, sizeof key);
	return key ? key : 1;
}

/* The place of a token that is remembered; -1: it is not. */
static int find(const struct token_memory *memory, const struct token *token, int64_t now_s)
{
	uint64_t key = key_of(token);

	for (int i = 0; i < TOKEN_NONCES; i++)
		if (memory->items[i].key == key && memory->items[i].until_s >= now_s)
			return i;
	return -1;
}

/* The place of a user; n_users: there is none yet. */
static size_t find_user(const struct token_memory *memory, const char *name)
{
	size_t i = 0;

	while (i < memory->n_users && strcmp(memory->users[i].name, name) != 0)
		i++;
	return i < CONFIG_USERS_MAX ? i : CONFIG_USERS_MAX - 1;
}

bool token_is_fresh(const struct token_memory *memory, const struct token *token,
		    const struct net_peer *peer, bool changes, int64_t now_s)
{
	int place = find(memory, token, now_s);
	size_t user = find_user(memory, token->name);
	uint64_t host[2];

	if (token->created_s < now_s - TOKEN_SKEW_S || token->created_s > now_s + TOKEN_SKEW_S ||
	    (user < memory->n_users && token->created_s <= memory->users[user].floor_s))
		return false;
	if (place < 0)
		return true;
	net_peer_host_key(peer, host);
	return !changes && memcmp(host, memory->items[place].host, sizeof host) == 0 &&
	       now_s <= memory->items[place].since_s + TOKEN_AGAIN_S;
}

/* A place that is free, or has ended, or the oldest of the user who has most places. */
static size_t find_place(const struct token_memory *memory, int64_t now_s)
{
	size_t counts[CONFIG_USERS_MAX] = {0}, place = 0;

	for (size_t i = 0; i < TOKEN_NONCES; i++) {
		if (memory->items[i].until_s < now_s)
			return i;
		counts[memory->items[i].user]++;
	}
	for (size_t i = 1; i < TOKEN_NONCES; i++) {
		size_t n = counts[memory->items[i].user];
		size_t most = counts[memory->items[place].user];

		if (n > most ||
		    (n == most && memory->items[i].until_s < memory->items[place].until_s))
			place = i;
	}
	return place;
}

/* Forgets a token, if there is one at this place that would still be taken. */
static void forget(struct token_memory *memory, size_t place, int64_t now_s)
{
	int64_t created_s = memory->items[place].until_s - TOKEN_SKEW_S;
	int64_t *floor_s = &memory->users[memory->items[place].user].floor_s;

	if (memory->items[place].until_s >= now_s && *floor_s < created_s)
		*floor_s = created_s;
}

void token_remember(struct token_memory *memory, const struct token *token,
		    const struct net_peer *peer, int64_t now_s)
{
	size_t user = find_user(memory, token->name), place;

	if (find(memory, token, now_s) >= 0)
		return;
	if (user == memory->n_users) {
		memcpy(memory->users[user].name, token->name, sizeof token->name);
		memory->n_users++;
	}
	place = find_place(memory, now_s);
	forget(memory, place, now_s);
	memory->items[place].user = user;
	memory->items[place].key = key_of(token);
	net_peer_host_key(peer, memory->items[place].host);
	memory->items[place].since_s = now_s;
	memory->items[place].until_s = token->created_s + TOKEN_SKEW_S;
}
