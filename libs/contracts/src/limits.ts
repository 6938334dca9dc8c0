/**
 * Every limit of the public contract, units last. Everything has a limit, and says so: what is above one is
 * refused (`invalid-request`, or `too-large` for a body), never cut short.
 */

/** Of an HTTP body. */
export const bodyBytesMax = 65_536;
/** Of a frame of the socket: the largest `readReports`, 1,000 of up to 112 bytes, has to fit. What is larger ends the connection. */
export const frameBytesMax = 131_072;
/** How deep arrays and objects may lie in each other; the outermost counts as 1. */
export const nestingDepthMax = 8;

export const pageLimitMax = 100;
export const pageLimitDefault = 50;
export const cursorCharsMax = 256;

export const textCharsMax = 8_000;
export const clientIdCharsMax = 64;
export const mentionsMax = 100;

export const nameCharsMax = 80;
export const externalIdCharsMax = 255;
export const pictureCharsMax = 2_048;

/** Of the consistency token, `Tidemark-Token`. */
export const tokenCharsMax = 256;
/** Of a bearer JWT; room for the generous claims of an identity provider. */
export const jwtCharsMax = 8_192;
export const logEpochCharsMax = 64;

export const usersCreateMax = 1_000;
export const membersAddMax = 1_000;
export const channelIdsMax = 1_000;
export const readReportsMax = 1_000;
/** Of the threads that one user follows in one channel, those with the newest roots are counted. */
export const threadsCountedMax = 1_000;
export const usersQueryMax = 100;

/** Of one `catch-up` or `resume`: fits into `frameBytesMax` with ids of any length. Who has more asks again. */
export const catchUpChannelsMax = 2_000;

/** Of one installation: sync-worker gives each its own turn. */
export const webhooksMax = 50;
export const webhookChannelsMax = 100;
export const webhookUrlCharsMax = 2_048;

/** Of `errors` in a problem: the first ones. A thousand broken entries need no thousand explanations. */
export const problemErrorsMax = 20;
/** Of each `pointer` and `detail` in `errors`: a refused field's name may be as long as the body. */
export const problemErrorCharsMax = 200;
