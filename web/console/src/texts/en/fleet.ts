export const fleet = {
  // Requests and the token
  unreachable: "The server does not answer",
  badPath: "A request to another host is not allowed",
  notJSON: "The answer is not JSON",
  unexpected: "The answer has another shape than expected; server and console may have different versions, so load the page again",
  status: (code: number) => `HTTP status ${code}`,
  forbidden: "Open the console at the server's own address, without a page of another site in between.",
  retryIn: (seconds: number) => `Try again in ${seconds} s.`,
  tokenTitle: "Admin token",
  tokenWhy: "The server needs a token for this. It is kept until this tab is closed, and goes to this server alone.",
  tokenWhere: "It is the content of the file admin-token in the server's data directory (DATA_DIR/admin-token). The start of the server prints where that is.",
  tokenLabel: "Token",
  useToken: "Use token",
  cancel: "Cancel",
  emptyToken: "Enter the content of the file admin-token.",
  wrongToken: "This is not the admin token. Copy the whole content of the file admin-token in the server's data directory, without spaces around it.",
  tooManyTokens: (seconds: string) => `Too many wrong tokens came from this address. Try again in ${seconds} s.`,
};
