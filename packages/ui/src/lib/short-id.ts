/** The end of an id: the beginnings are the time, and so alike. */
export const shortId = (id: string): string => id.slice(-8)
